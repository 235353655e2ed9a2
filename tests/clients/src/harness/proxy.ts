// A way to the server on which an answer can get lost.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #answersToLose = 0;
  /** How many answers got lost. */
  lost = 0;

  private constructor(target: string) {
    const [host, port] = target.split(':');
    this.#server = createServer((client) => {
      const server = connect(Number(port), host);
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.on('data', (bytes) => server.write(bytes));
      server.on('data', (bytes) => {
        if (client.destroyed) {
          return;
        }
        // The server has answered, so that it has done what it was asked; the client will not hear of it.
        if (this.#answersToLose > 0) {
          this.#answersToLose -= 1;
          this.lost += 1;
          client.destroy();
        } else {
          client.write(bytes);
        }
      });
    });
  }

  static async start(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((listening) => proxy.#server.listen(0, '127.0.0.1', listening));
    return proxy;
  }

  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `127.0.0.1:${port}`;
  }

  get url(): string {
    return `http://${this.address}/graphql`;
  }

  get socketUrl(): string {
    return `ws://${this.address}/graphql`;
  }

  loseAnswers(count: number): void {
    this.#answersToLose = count;
  }

  /** Cuts every connection, as when a network goes. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((closed) => this.#server.close(closed));
  }
}
