/**
 * Whether a port that broke a plain connection wants TLS: `http` was given for `https`.
 */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { Endpoint } from './connection.ts';

const WITHIN_MS = 2_000;

/** Nothing is sent over the connection, so that its certificate is of no matter. Never rejects. */
export function speaksTls({ host, port }: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const servername = isIP(host) === 0 ? host : '';
    const socket = connect({ host, port, servername, rejectUnauthorized: false });
    const tell = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(WITHIN_MS, () => tell(false));
    socket.once('secureConnect', () => tell(true));
    socket.on('error', () => tell(false));
    socket.once('close', () => tell(false));
  });
}
