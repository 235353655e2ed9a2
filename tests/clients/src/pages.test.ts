// What docs/ shows in TypeScript is what the tests run.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { blocks, package_, pages } from './harness/repository';

/** The page whose blocks these are names the file in the line above: `tests/clients/src/…`. */
const NAMED = /`tests\/clients\/([\w./-]+\.ts)`/;

const sources = readdirSync(package_, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('node_modules') && !name.includes('generated'))
  .map((name) => ({ name, text: readFileSync(join(package_, name), 'utf8') }));

/** The files that tests and code generation import, directly or by what they import. */
function imported(): Set<string> {
  const found = new Set<string>();
  const left = sources.map(({ name }) => name).filter((name) => /(\.test|\/generate)\.ts$/.test(name));
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    const text = sources.find((source) => source.name === name)?.text ?? '';
    for (const [, path = ''] of text.matchAll(/from '(\.[^']*)'/g)) {
      const other = `${relative(package_, resolve(package_, dirname(name), path))}.ts`;
      if (!found.has(other)) {
        found.add(other);
        left.push(other);
      }
    }
  }
  return found;
}

const tested = imported();

for (const page of pages()) {
  const shown = blocks(page, 'ts');
  if (shown.length > 0) {
    test(`${page} shows what is tested`, () => {
      for (const { line, text, above } of shown) {
        const name = NAMED.exec(above)?.[1];
        assert.ok(name !== undefined, `${page}:${line}: the line above names no file of tests/clients`);
        assert.ok(tested.has(name), `${page}:${line}: no test imports ${name}`);
        assert.equal(text, sources.find((source) => source.name === name)?.text, `${page}:${line} is not ${name}`);
      }
    });
  }
}

test('each client has a page with its code', () => {
  for (const page of ['docs/apollo.md', 'docs/urql.md', 'docs/codegen.md']) {
    assert.ok(blocks(page, 'ts').length > 0, page);
  }
});
