import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import {
  answer,
  answering,
  clientOf,
  deferred,
  get,
  ok,
  put,
  type Script,
  type SecureServer,
  startScriptedServer,
} from './scripted-server.ts';

function pem(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** For `localhost` and 127.0.0.1. */
const LOCAL: SecureServer = {
  key: pem('../s3-server/localhost.key.pem'),
  cert: pem('../s3-server/localhost.cert.pem'),
};
/** For the name `localhost`, and not for any address. */
const NAME_ONLY: SecureServer = {
  key: pem('localhost-only.key.pem'),
  cert: pem('localhost-only.cert.pem'),
};

const answersOk: Script = answering((request) => ok(`got ${request.target}`));

describe('over TLS', () => {
  it('exchanges share a connection, and a large body goes into its buffer', async () => {
    const content = 'x'.repeat(1_000_000);
    const server = await startScriptedServer(
      answering(() => ok(content)),
      LOCAL,
    );
    const client = clientOf(server.endpoint);
    for (let i = 0; i < 3; i++) {
      const buffer = Buffer.alloc(content.length);
      await client.exchange(get('/photos/a', { receive: () => ({ kind: 'into', buffer }) }));
      expect(buffer.toString()).toBe(content);
    }
    expect(server.peers).toHaveLength(1);
  });

  it('a large request arrives whole', async () => {
    const body = Buffer.alloc(5_000_000, 'photo');
    const server = await startScriptedServer(
      answering((request) => ok(String(request.body.equals(body)))),
      LOCAL,
    );
    const client = clientOf(server.endpoint);
    for (let i = 0; i < 2; i++) {
      expect((await client.exchange(put(body))).body.toString()).toBe('true');
    }
    expect(server.peers).toHaveLength(1);
  });

  it('the bytes wait until it is decided where they go', async () => {
    const content = 'x'.repeat(1_000_000);
    const server = await startScriptedServer(
      answering(() => ok(content)),
      LOCAL,
    );
    const client = clientOf(server.endpoint);
    const asked = deferred<void>();
    const decision = deferred<{ kind: 'collect'; limit: number }>();
    const exchange = client.exchange(
      get('/photos/a', {
        receive: () => {
          asked.resolve();
          return decision.promise;
        },
      }),
    );
    await asked.promise;
    await client.exchange(get());
    decision.resolve({ kind: 'collect', limit: content.length });
    expect((await exchange).body.toString()).toBe(content);
  });

  it('a new connection resumes the session of an earlier one', async () => {
    const resumed: boolean[] = [];
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      resumed.push((peer.socket as TLSSocket).isSessionReused());
      await peer.send(ok('x', 'Connection: close'));
    }, LOCAL);
    const client = clientOf(server.endpoint);
    for (let i = 0; i < 3; i++) await client.exchange(get());
    expect(resumed).toEqual([false, true, true]);
  });

  it('speaks HTTP/1.1, and names the host to the server', async () => {
    const seen: unknown[] = [];
    const server = await startScriptedServer(async (peer) => {
      const socket = peer.socket as TLSSocket & { servername?: string | false };
      await peer.request();
      seen.push(socket.alpnProtocol, socket.servername);
      await peer.send(ok('x'));
    }, LOCAL);
    await clientOf({ ...server.endpoint, host: 'localhost' }).exchange(get());
    expect(seen).toEqual(['http/1.1', 'localhost']);
  });

  it.each(['end', 'reset'] as const)(
    'an answer that breaks off is an error (%s)',
    async (ending) => {
      const server = await startScriptedServer(async (peer) => {
        await peer.request();
        if (peer.number > 0) {
          await peer.send(ok('own'));
          return;
        }
        await peer.send(answer(200, ['Content-Length: 5'], 'hell'));
        peer[ending]();
      }, LOCAL);
      const client = clientOf(server.endpoint);
      await expect(client.exchange(get())).rejects.toMatchObject({ code: 'closed', sent: true });
      expect((await client.exchange(get())).body.toString()).toBe('own');
    },
  );

  it('a request that is broken off reaches the server as a reset', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      client.close();
    }, LOCAL);
    const client = clientOf(server.endpoint);
    await expect(client.exchange(put(Buffer.alloc(16 * 1024 * 1024)))).rejects.toMatchObject({
      code: 'aborted',
    });
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it('unsolicited bytes end an idle connection', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(ok('own'), ok('stolen'));
    }, LOCAL);
    const client = clientOf(server.endpoint);
    await client.exchange(get());
    expect(await server.peers[0]?.ended).toBe('reset');
    expect((await client.exchange(get())).body.toString()).toBe('own');
    expect(server.peers).toHaveLength(2);
  });
});

describe('a server whose certificate cannot be verified', () => {
  const refused = { code: 'connect-failed', sent: false };

  it('is refused when its authority is not known', async () => {
    const server = await startScriptedServer(answersOk, LOCAL);
    const exchange = clientOf({ ...server.endpoint, tls: { verify: true } }).exchange(get());
    await expect(exchange).rejects.toMatchObject(refused);
    await expect(exchange).rejects.toThrow('DEPTH_ZERO_SELF_SIGNED_CERT');
  });

  it('is refused when the certificate is another one than the trusted', async () => {
    const server = await startScriptedServer(answersOk, LOCAL);
    const tls = { ca: NAME_ONLY.cert, verify: true };
    await expect(clientOf({ ...server.endpoint, tls }).exchange(get())).rejects.toMatchObject(
      refused,
    );
  });

  it('is refused when the certificate is for another name, an address being a name too', async () => {
    const server = await startScriptedServer(answersOk, NAME_ONLY);
    const exchange = clientOf(server.endpoint).exchange(get());
    await expect(exchange).rejects.toMatchObject(refused);
    await expect(exchange).rejects.toThrow('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('is accepted under the name or the address that the certificate is for', async () => {
    const byName = await startScriptedServer(answersOk, NAME_ONLY);
    await clientOf({ ...byName.endpoint, host: 'localhost' }).exchange(get());
    const byAddress = await startScriptedServer(answersOk, LOCAL);
    await clientOf(byAddress.endpoint).exchange(get());
  });

  it('is accepted when verification is turned off', async () => {
    const server = await startScriptedServer(answersOk, NAME_ONLY);
    const client = clientOf({ ...server.endpoint, tls: { verify: false } });
    expect((await client.exchange(get())).body.toString()).toBe('got /photos/a.jpg');
  });

  it('is refused when it does not speak TLS', async () => {
    const server = await startScriptedServer(async (peer) => {
      await new Promise((resolve) => peer.socket.once('data', resolve));
      await peer.send(ok('plain'));
    });
    const tls = { ca: LOCAL.cert, verify: true };
    await expect(clientOf({ ...server.endpoint, tls }).exchange(get())).rejects.toMatchObject(
      refused,
    );
  });

  it.each(['end', 'reset'] as const)(
    'is refused when it breaks the handshake off (%s)',
    async (ending) => {
      const server = await startScriptedServer(async (peer) => {
        await new Promise((resolve) => peer.socket.once('data', resolve));
        peer[ending]();
      });
      const tls = { ca: LOCAL.cert, verify: true };
      await expect(clientOf({ ...server.endpoint, tls }).exchange(get())).rejects.toMatchObject(
        refused,
      );
    },
  );
});
