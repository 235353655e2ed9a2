// Two processes of Rowlock on one PostgreSQL database of their own: SQLite has one process.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Server } from './server';

function psql(sql: string): void {
  execFileSync('psql', ['--quiet', '--set=ON_ERROR_STOP=1', `--dbname=${superuser()}`, `--command=${sql}`]);
}

function superuser(): string {
  const url = process.env['ROWLOCK_TEST_POSTGRES_URL'];
  if (url === undefined) {
    throw new Error('two processes need PostgreSQL: run this by scripts/with-postgres, or set ROWLOCK_TEST_POSTGRES_URL');
  }
  return url;
}

export class Pair {
  readonly servers: readonly [Server, Server];
  readonly #database: string;

  private constructor(database: string, servers: readonly [Server, Server]) {
    this.#database = database;
    this.servers = servers;
  }

  static async start(): Promise<Pair> {
    const database = `rowlock_clients_${randomUUID().replaceAll('-', '')}`;
    psql(`CREATE DATABASE ${database}`);
    const url = new URL(superuser());
    url.pathname = `/${database}`;
    // A test's few customers ask for more than people do.
    const begin = () => Server.startOn(url.href, '--rate-limits', 'off');
    // One after the other: the first one fills it.
    return new Pair(database, [await begin(), await begin()]);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
    psql(`DROP DATABASE ${this.#database} WITH (FORCE)`);
  }
}
