/**
 * The embedded server's life: ports, TLS, its clock, and its end.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import { faults } from '../support/fault-script.ts';
import { send, sendPart, sign, startPhotosServer } from './raw-request.ts';

const pem = (name: string) => readFileSync(new URL(`localhost.${name}.pem`, import.meta.url));
const request = { method: 'GET', path: '/photos/lake' };
const body = Buffer.from('still water');

it('speaks https with a key and a certificate of its own', async () => {
  const server = await startPhotosServer({ tls: { key: pem('key'), cert: pem('cert') } });
  expect(server.url).toBe(`https://127.0.0.1:${server.port}`);
  server.bucket('photos').put(keyFromText('lake'), { body });
  const headers = await sign(server, request);
  const outgoing = httpsRequest(`${server.url}${request.path}`, { headers, ca: pem('cert') }).end();
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  expect(await text(incoming)).toBe('still water');
  await server.close();
});

it('lives in the time it is given', async () => {
  const now = Date.UTC(2031, 4, 17, 12);
  const server = await startPhotosServer({ now: () => now });
  server.bucket('photos').put(keyFromText('lake'), { body });
  expect(await send(server, request)).toMatchObject({ code: 'RequestTimeTooSkewed' });
  const answer = await send(server, { ...request, signing: { date: new Date(now) } });
  expect(answer.headers['last-modified']).toBe('Sat, 17 May 2031 12:00:00 GMT');
  await server.close();
});

it('ends connections that are idle, hang or are half-way through a request', async () => {
  const server = await startPhotosServer();
  const script = faults(server);
  script.on('GET').hang();
  const idle = connect(server.port, '127.0.0.1');
  await once(idle, 'connect');
  const hanging = await sendPart(server, { ...request, body: Buffer.alloc(0) }, 0);
  const partial = await sendPart(server, { ...request, method: 'PUT', body }, 5);
  await script.until((requests) => requests.length === 2);
  const sockets = [idle, hanging, partial];
  const ends = Promise.all(sockets.map((socket) => once(socket.resume(), 'close')));
  await server.close();
  await ends;
});

it('can be started again on its port, empty', async () => {
  const first = await startPhotosServer();
  const { port } = first;
  first.bucket('photos').put(keyFromText('lake'), { body });
  await first.close();
  const second = await startPhotosServer({ port });
  expect(second.bucket('photos').keys()).toEqual([]);
  await second.close();
});

it('says when its port is taken', async () => {
  const server = await startPhotosServer();
  await expect(startPhotosServer({ port: server.port })).rejects.toThrow('EADDRINUSE');
  await server.close();
});

it('outlives a client that leaves before its answer', async () => {
  const server = await startPhotosServer();
  const script = faults(server);
  server.bucket('photos').put(keyFromText('lake'), { body });
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const gone = new Promise<void>((resolve) => {
    script
      .on('GET')
      .times(1)
      .trickle({ bytes: 1, everyMs: 1 })
      .before(async ({ incoming }) => {
        incoming.once('close', resolve);
        await held;
      });
  });
  const socket = await sendPart(server, { ...request, body: Buffer.alloc(0) }, 0);
  await script.seen('GET', 1);
  socket.resetAndDestroy();
  await gone;
  release();
  expect((await send(server, request)).body).toEqual(body);
  await server.close();
});

it('refuses a bucket name that S3 would refuse', async () => {
  await expect(startPhotosServer({ buckets: ['Photos/2019'] })).rejects.toThrow('bucket');
});
