// A Rowlock of the tests' own: its demo's events, on SQLite in a directory that goes with it, on a free port that it keeps
// over a restart.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const SECRET = 'the clients sign their tokens with this one';
const STARTED_WITHIN_MS = 20_000;
const ENDED_WITHIN_MS = 20_000;

export const program = process.env['ROWLOCK'] ?? '';
if (program === '') {
  throw new Error('ROWLOCK names no program: run `npm test -- path/to/rowlock`');
}

const environment = { PATH: process.env['PATH'], ROWLOCK_LOG: 'warn', ROWLOCK_JWT_SECRET: SECRET };

export type Role = 'customer' | 'organizer';

/** A token, as `rowlock token` prints it. `lifetime` is such as `12h` or `3s`. */
export function token(subject: string, lifetime = '1h', role: Role = 'customer'): string {
  const of = ['token', '--role', role, '--subject', subject, '--for', lifetime];
  return execFileSync(program, of, { env: environment, encoding: 'utf8' }).trim();
}

/** Clocks differ: the server takes a token for so long after its end. */
const LEEWAY_S = 30;

/** A customer's token that the server takes for so long from now and no longer. */
export function tokenFor(subject: string, seconds: number): string {
  const now = Math.floor(Date.now() / 1000);
  const exp = now + seconds - LEEWAY_S;
  const claims = { iss: 'rowlock', aud: 'rowlock', sub: subject, role: 'customer', iat: exp - 60, exp };
  const text = [{ typ: 'JWT', alg: 'HS256' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

export function sdl(...options: string[]): string {
  return execFileSync(program, ['schema', ...options], { env: environment, encoding: 'utf8' });
}

const running = new Map<ChildProcess, string>();
// A test that hangs is ended from outside; its server goes with it, and the server's directory.
process.on('exit', () => {
  for (const [child, directory] of running) {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => process.exit(1));
}

export class Server {
  readonly #directory = mkdtempSync(join(tmpdir(), 'rowlock-clients-'));
  readonly #options: string[];
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #address = '127.0.0.1:0';

  private constructor(options: string[]) {
    this.#options = options;
  }

  /** On another database than its own. */
  static startOn(databaseUrl: string, ...options: string[]): Promise<Server> {
    return Server.start('--database-url', databaseUrl, ...options);
  }

  static async start(...options: string[]): Promise<Server> {
    const server = new Server(options);
    try {
      await server.begin();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get address(): string {
    return this.#address;
  }

  get url(): string {
    return `http://${this.#address}/graphql`;
  }

  get socketUrl(): string {
    return `ws://${this.#address}/graphql`;
  }

  /** Starts it, after `end` on the same port and with the same tickets. */
  async begin(): Promise<void> {
    const child = spawn(program, ['demo', '--listen', this.#address, ...this.#options], {
      cwd: this.#directory,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: environment,
    });
    this.#process = child;
    running.set(child, this.#directory);
    this.#ended = new Promise((end) => {
      child.on('close', () => {
        running.delete(child);
        end();
      });
    });
    const deadline = setTimeout(() => child.kill('SIGKILL'), STARTED_WITHIN_MS);
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        if (line.startsWith('listening on http://')) {
          this.#address = line.slice('listening on http://'.length).trim();
          return;
        }
      }
    } finally {
      clearTimeout(deadline);
      child.stdout.resume();
    }
    throw new Error('the server ended before it listened');
  }

  /** Ends it as an operator does: what is under way is answered. */
  async end(): Promise<void> {
    const child = this.#process;
    const deadline = setTimeout(() => child?.kill('SIGKILL'), ENDED_WITHIN_MS);
    child?.kill('SIGTERM');
    await this.#ended;
    clearTimeout(deadline);
  }

  async restart(): Promise<void> {
    await this.end();
    await this.begin();
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    await this.end();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
