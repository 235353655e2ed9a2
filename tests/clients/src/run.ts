// Every client against one server's program:
//
//     npm test -- path/to/rowlock [TEST FILES …]
//
// Two processes have a database on the PostgreSQL that ROWLOCK_TEST_POSTGRES_URL names, as scripts/with-postgres does.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { package_ } from './harness/repository';

/** What hangs is ended: a file of tests takes half a minute. */
const TEST_MS = 120_000;
const STEP_MS = 300_000;
/** Tests mostly wait. */
const FILES_AT_ONCE = 4;

const [given, ...chosen] = process.argv.slice(2);
if (given === undefined) {
  console.error('usage: npm test -- ROWLOCK [TEST FILES …]');
  process.exit(2);
}
// npm runs this in the package's directory, whatever directory it was called in.
const program = resolve(process.env['INIT_CWD'] ?? '.', given);

function step(name: string, command: string, ...options: string[]): void {
  const begin = Date.now();
  const { status, signal, error } = spawnSync(command, options, {
    cwd: package_,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ROWLOCK: program, PATH: `${join(package_, 'node_modules/.bin')}:${process.env['PATH']}` },
    timeout: STEP_MS,
  });
  const took = `${((Date.now() - begin) / 1000).toFixed(0)} s`;
  if (status !== 0) {
    console.error(`${name}: FAILED after ${took}${signal ? `, ${signal}` : ''}${error ? `: ${error}` : ''}`);
    process.exit(1);
  }
  console.log(`${name}: ${took}`);
}

const tests = readdirSync(join(package_, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => chosen.length === 0 || chosen.some((word) => name.includes(word)))
  .map((name) => join('src', name))
  .sort();

step('code generation', 'tsx', 'src/generate.ts');
step('types', 'tsc', '--project', '.');
step(
  'tests',
  process.execPath,
  ...['--import', 'tsx', '--test', '--test-force-exit', '--test-reporter', 'spec'],
  ...[`--test-timeout=${TEST_MS}`, `--test-concurrency=${FILES_AT_ONCE}`, ...tests],
);
