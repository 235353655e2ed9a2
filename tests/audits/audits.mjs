// The audits of graphql-http on a server of its own, in strict reading: what SHOULD and MAY be counts like what MUST be.
//
//     node audits.mjs target/debug/rowlock
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { auditServer } from 'graphql-http';

/// One more or one less is for a person to look at.
const AUDITS = 61;

if (process.argv.length !== 3) {
  console.error('usage: node audits.mjs ROWLOCK');
  process.exit(2);
}

// A bare GET executes nothing here (docs/http.md, "Pages of other sites"), so that those of the audits say with Apollo's
// header that no such page has sent them.
const fetchFn = (input, init = {}) =>
  (init.method ?? 'GET') === 'GET'
    ? fetch(input, { ...init, headers: { ...init.headers, 'apollo-require-preflight': 'true' } })
    : fetch(input, init);

async function audit(url) {
  const results = await auditServer({ url, fetchFn });
  const failed = results.filter(({ status }) => status !== 'ok');
  for (const { id, name, status, reason } of failed) {
    console.error(`${status} ${id}: ${name}: ${reason}`);
  }
  const passed = results.length - failed.length;
  console.log(`graphql-http's audits: ${passed}/${results.length}`);
  return passed === AUDITS && results.length === AUDITS;
}

async function addressOf(server) {
  for await (const line of createInterface({ input: server.stdout })) {
    if (line.startsWith('listening on ')) {
      return line.slice('listening on '.length).trim();
    }
  }
  throw new Error('the server ended before it listened');
}

const directory = mkdtempSync(join(tmpdir(), 'rowlock-audits-'));
const server = spawn(resolve(process.argv[2]), ['demo', '--listen', '127.0.0.1:0'], {
  cwd: directory,
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { PATH: process.env.PATH, ROWLOCK_LOG: 'warn' },
});
const ended = new Promise((end) => server.on('close', end));
let isPassed = false;
try {
  isPassed = await audit(`${await addressOf(server)}/graphql`);
} finally {
  server.stdout.resume();
  server.kill('SIGTERM');
  await ended;
  rmSync(directory, { recursive: true });
}
process.exit(isPassed ? 0 : 1);
