// What is built is made of others' work, whose licences ask to be passed on with it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const NAME = 'virtual:licences';

// One more than are in the bundles, perhaps: all that are installed but for the tools.
function texts() {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  return Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional)
    .map(([path, { version, license }]) => {
      const files = readdirSync(path).filter((name) => /^(licen[cs]e|copying|notice|thirdpartynotices)/i.test(name));
      const title = `${path.replace(/^.*node_modules\//, '')} ${version}: ${license}`;
      return [title, ...files.map((name) => readFileSync(join(path, name), 'utf8').trim())].join('\n\n');
    })
    .join(`\n\n${'-'.repeat(80)}\n\n`);
}

// The module's default export is the address of a file with all of them.
export const licences = {
  name: 'licences',
  apply: 'build',
  resolveId: (id) => (id === NAME ? NAME : null),
  load(id) {
    if (id !== NAME) {
      return null;
    }
    const file = this.emitFile({ type: 'asset', name: 'licences.txt', source: texts() });
    return `export default import.meta.ROLLUP_FILE_URL_${file};`;
  },
};
