import { describe, expect, it } from 'vitest';
import { Passage } from '../../src/wire/passage.ts';
import {
  answer,
  answering,
  clientOf,
  get,
  ok,
  put,
  type ReceivedRequest,
  startScriptedServer,
} from './scripted-server.ts';
import { smithyAuthorization } from './smithy-signature.ts';

const HOUR_MS = 3_600_000;

/** A header of a request, by lower-case name. */
function header(request: ReceivedRequest | undefined, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\r$`, 'm').exec(request?.head ?? '')?.[1];
}

/** The time a request was signed for, in ms since the epoch. */
function signedAt(request: ReceivedRequest | undefined): number {
  const stamp = header(request, 'x-amz-date') ?? '';
  return Date.parse(stamp.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

describe('a clock that differs from the server’s', () => {
  /** Refuses what is signed for another time than its own by more than 15 minutes, as S3 does. */
  async function startServerAhead(aheadMs: number) {
    const requests: ReceivedRequest[] = [];
    const server = await startScriptedServer(
      answering((request) => {
        requests.push(request);
        const now = Date.now() + aheadMs;
        const date = `Date: ${new Date(now).toUTCString()}`;
        return Math.abs(signedAt(request) - now) > HOUR_MS / 4
          ? answer(403, [date, 'Content-Length: 0'])
          : ok('done', date);
      }),
    );
    return { ...server, requests };
  }

  it.each([24 * HOUR_MS, -24 * HOUR_MS])('is corrected, once for all (%i ms)', async (aheadMs) => {
    const server = await startServerAhead(aheadMs);
    const client = clientOf(server.endpoint);
    expect((await client.exchange(get())).head.status).toBe(200);
    expect(server.requests).toHaveLength(2);
    expect(Math.abs(client.clockOffsetMs - aheadMs)).toBeLessThan(60_000);
    // Also a request that must not be done twice: a refused one was not done.
    expect((await client.exchange(put(Buffer.from('x')))).head.status).toBe(200);
    expect(server.requests).toHaveLength(3);
  });

  it('is corrected for a PUT, whose body is sent again', async () => {
    const server = await startServerAhead(HOUR_MS);
    const client = clientOf(server.endpoint);
    expect((await client.exchange(put(Buffer.from('photo')))).head.status).toBe(200);
    expect(server.requests.map(({ body }) => body.toString())).toEqual(['photo', 'photo']);
  });

  it('is corrected for all requests that were under way', async () => {
    const server = await startServerAhead(24 * HOUR_MS);
    const client = clientOf(server.endpoint);
    const answers = await Promise.all([1, 2, 3].map(() => client.exchange(get())));
    expect(answers.map(({ head }) => head.status)).toEqual([200, 200, 200]);
  });

  it('is corrected for what passes through, which has to be read again', async () => {
    const server = await startServerAhead(24 * HOUR_MS);
    const client = clientOf(server.endpoint);
    const pass = () => {
      const passage = new Passage(5, () => {});
      const exchange = client.exchange({ ...put(Buffer.alloc(0)), body: passage });
      passage.take(Buffer.from('photo'));
      return exchange;
    };
    await expect(pass()).rejects.toMatchObject({ code: 'clock-corrected', sent: false });
    expect((await pass()).head.status).toBe(200);
  });

  it.each([
    ['the server’s clock is right', `Date: ${new Date().toUTCString()}`],
    ['the server does not tell its time', 'X-No-Date: here'],
    ['its time cannot be read', 'Date: yesterday'],
  ])('is not blamed for a 403 when %s', async (_, line) => {
    let requests = 0;
    const server = await startScriptedServer(
      answering(() => {
        requests++;
        return answer(403, [line, 'Content-Length: 0']);
      }),
    );
    expect((await clientOf(server.endpoint).exchange(get())).head.status).toBe(403);
    expect(requests).toBe(1);
  });

  it('is tried once when the server refuses all the same', async () => {
    let requests = 0;
    const date = `Date: ${new Date(Date.now() + HOUR_MS).toUTCString()}`;
    const server = await startScriptedServer(
      answering(() => {
        requests++;
        return answer(403, [date, 'Content-Length: 0']);
      }),
    );
    const client = clientOf(server.endpoint);
    expect((await client.exchange(get())).head.status).toBe(403);
    expect(requests).toBe(2);
    await client.exchange(get());
    expect(requests).toBe(3);
  });
});

describe('the head of a request', () => {
  /** What arrives of one exchange. */
  async function received(
    options: Parameters<typeof clientOf>[1],
    request: Parameters<ReturnType<typeof clientOf>['exchange']>[0],
  ): Promise<ReceivedRequest> {
    const requests: ReceivedRequest[] = [];
    const server = await startScriptedServer(
      answering((arrived) => {
        requests.push(arrived);
        return arrived.method === 'HEAD' ? answer(200, []) : ok('');
      }),
    );
    const client = clientOf(server.endpoint, {
      ...options,
      ...(options?.endpoint === undefined
        ? {}
        : { endpoint: { ...options.endpoint, port: server.port } }),
    });
    await client.exchange(request);
    return requests[0] as ReceivedRequest;
  }

  it('names the host with its port, which is not the scheme’s own', async () => {
    const request = await received({}, get());
    expect(header(request, 'host')).toMatch(/^127\.0\.0\.1:[0-9]+$/);
  });

  it('names the bucket’s host where the bucket has one', async () => {
    const request = await received({}, get('/a.jpg', { host: 'photos.store.test' }));
    expect(header(request, 'host')).toMatch(/^photos\.store\.test:[0-9]+$/);
  });

  it('names an IPv6 host in brackets', async () => {
    const request = await received({}, get('/a.jpg', { host: 'fd00::1' }));
    expect(header(request, 'host')).toMatch(/^\[fd00::1\]:[0-9]+$/);
  });

  it('has a Content-Length for PUT and POST, also without a body, and for nothing else', async () => {
    const lengthOf = async (method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE', body?: string) => {
      const bytes = body === undefined ? undefined : Buffer.from(body);
      return header(await received({}, get('/a', { method, body: bytes })), 'content-length');
    };
    expect(await lengthOf('PUT', 'photo')).toBe('5');
    expect(await lengthOf('PUT', '')).toBe('0');
    expect(await lengthOf('PUT')).toBe('0');
    expect(await lengthOf('POST')).toBe('0');
    expect(await lengthOf('GET')).toBeUndefined();
    expect(await lengthOf('HEAD')).toBeUndefined();
    expect(await lengthOf('DELETE')).toBeUndefined();
  });

  it('signs the body itself where its hash is given, and leaves it to a digest header else', async () => {
    const body = Buffer.from('photo');
    const payloadHash = '27cd0f0b6f5a4bb1a7b3bfd4e3a1dbb0d2c0a5e1e3b60d2c1f7c5e1a6e0f0a11';
    expect(header(await received({}, put(body, { payloadHash })), 'x-amz-content-sha256')).toBe(
      payloadHash,
    );
    expect(header(await received({}, put(body)), 'x-amz-content-sha256')).toBe('UNSIGNED-PAYLOAD');
    expect(header(await received({}, get()), 'x-amz-content-sha256')).toMatch(/^e3b0c44298fc1c14/);
  });

  it('signs the query ordered by name, also where one name begins like another', async () => {
    const query = { b: '2', 'a-b': '1', a: '9', 'a.b': 'x', 'a b': '/', ab: '' };
    const credentials = { accessKey: 'AKIDTEST', secret: 'secret' };
    const request = await received(
      { credentials, region: 'auto' },
      get('/photos', { query: Object.entries(query) }),
    );
    expect(request.target).toBe('/photos?a=9&a%20b=%2F&a-b=1&a.b=x&ab=&b=2');
    const signed = await smithyAuthorization(
      {
        method: 'GET',
        path: '/photos',
        query,
        headers: {
          host: header(request, 'host') ?? '',
          'x-amz-content-sha256': header(request, 'x-amz-content-sha256') ?? '',
        },
      },
      { credentials, region: 'auto', atMs: signedAt(request) },
    );
    expect(header(request, 'authorization')).toBe(signed);
  });
});

describe('a server that ends kept connections at their second request', () => {
  it('meets ever fewer requests there that must not be done twice', async () => {
    const server = await startScriptedServer(async (peer) => {
      if ((await peer.request()) === undefined) return;
      await peer.send(ok('done'));
      if ((await peer.request()) !== undefined) peer.reset();
    });
    const client = clientOf(server.endpoint);
    const ends: string[] = [];
    for (let i = 0; i < 20; i++) {
      const put20 = client.exchange(put(Buffer.from('x')));
      ends.push(
        await put20.then(
          () => 'done',
          (error: { stale: boolean }) => `${error.stale}`,
        ),
      );
    }
    // After one, two, four and eight requests that had a connection of their own.
    const failures = [...ends.keys()].filter((i) => ends[i] === 'true');
    expect(failures).toEqual([1, 3, 6, 11]);
  });
});
