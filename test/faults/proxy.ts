/**
 * A TCP proxy before a server, on a port of its own: it passes all bytes on, and the test's script ends connections
 * as it likes.
 */
import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { listen } from '../wire/scripted-server.ts';

/** One connection of a client's, with that to the server behind it. */
export interface Passing {
  readonly client: Socket;
  readonly server: Socket;
  /** 0 for the first. */
  readonly number: number;
}

/**
 * @param onConnection - called before any byte of it has passed
 * @returns the port
 */
export async function startProxy(
  port: number,
  onConnection: (passing: Passing) => void,
): Promise<number> {
  let number = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: '127.0.0.1', port, noDelay: true });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.resetAndDestroy());
      from.once('close', () => {
        sockets.delete(from);
        to.destroySoon();
      });
    }
    onConnection({ client, server, number: number++ });
    client.pipe(server);
    server.pipe(client);
  });
  const own = await listen(proxy);
  onTestFinished(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  return own;
}
