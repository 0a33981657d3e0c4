/**
 * What an operator is told when a bucket cannot be opened: the side, the likely cause, the flag to
 * mend.
 */
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MigrateError } from '../../src/errors.ts';
import {
  type BucketAddress,
  type Opening,
  openBucket,
  openBuckets,
} from '../../src/s3/open-store.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { faults } from '../support/fault-script.ts';
import { addressOf, CREDENTIALS, startServer, TLS } from './embedded.ts';

let server: S3Server;
let address: BucketAddress;
beforeEach(async () => {
  server = await startServer();
  address = addressOf(server);
});
afterEach(() => server.close());

async function failure(
  changes: Partial<BucketAddress> = {},
  opening: Opening = {},
): Promise<MigrateError> {
  const error = await openBucket({ ...address, ...changes }, opening).then(
    () => expect.unreachable('the bucket was opened'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MigrateError);
  expect(error).toMatchObject({ exitCode: 3 });
  return error as MigrateError;
}

it('opens a bucket that is there', async () => {
  const opened = await openBucket(address);
  expect(opened).toMatchObject({ region: 'us-east-1', addressing: 'path' });
  opened.store.close();
});

describe('access is denied', () => {
  it('with a wrong secret', async () => {
    const credentials = { ...CREDENTIALS, secret: 'wrong' };
    const { message, hint } = await failure({ credentials });
    expect(message).toBe(`source ${server.url}/photos: access denied (status 403)`);
    expect(hint).toMatch(/--src-key and --src-secret/);
  });

  it('with a wrong key', async () => {
    const credentials = { ...CREDENTIALS, accessKey: 'AKIDOTHER' };
    expect((await failure({ credentials })).message).toMatch(/access denied/);
  });

  it('and the secret is in no part of what is told', async () => {
    const { message, hint } = await failure({ credentials: { accessKey: 'x', secret: 'hush' } });
    expect(message + hint).not.toMatch(/hush/);
  });
});

it('there is no such bucket', async () => {
  const { message, hint } = await failure({ bucket: 'missing' });
  expect(message).toMatch(/\/missing: there is no such bucket \(status 404\)$/);
  expect(hint).toMatch(/--src-bucket/);
});

it.each([
  ['destination', '--dest', '--dest-bucket'],
  ['bucket', '-', '--bucket'],
])('names the %s and its flags', async (side, flagPrefix, flag) => {
  const { message, hint } = await failure({ side, flagPrefix, bucket: 'missing' });
  expect(message).toMatch(new RegExp(`^${side} http`));
  expect(hint).toMatch(new RegExp(` ${flag} `));
});

it('shows a bucket name without what could deceive a terminal', async () => {
  const { message } = await failure({ bucket: 'missing\u001b[2J\u202e' });
  // oxlint-disable-next-line no-control-regex
  expect(message).not.toMatch(/[\u0000-\u001f\u202e]/);
});

describe('the connection', () => {
  it('is refused', async () => {
    await server.close();
    const { message, hint } = await failure();
    expect(message).toMatch(/connection refused \(ECONNREFUSED\)/);
    expect(hint).toMatch(/--src-url/);
    server = await startServer();
  });

  it('goes to a host that has no address', async () => {
    const endpoint = { ...address.endpoint, host: 'no-such-host.invalid' };
    expect((await failure({ endpoint })).message).toMatch(/ENOTFOUND|EAI_AGAIN/);
  });

  it('ends before an answer', async () => {
    faults(server).on('HEAD').disconnect();
    const { message, hint } = await failure({}, { patienceMs: 300 });
    expect(message).toMatch(/the connection was broken \(ECONNRESET\) before an answer/);
    expect(hint).toMatch(/is an S3 service listening there/);
  });

  describe('meets a store that is busy', () => {
    it('and is tried again', async () => {
      const script = faults(server);
      script.on('HEAD').status(503, { code: 'SlowDown' }).times(1);
      const opened = await openBucket(address);
      opened.store.close();
      expect(script.count('HeadBucket')).toBe(2);
    });

    it('which is told once when it takes longer', async () => {
      const told: string[] = [];
      faults(server).on('HEAD').status(429, { code: 'TooManyRequests' }).times(4);
      const opened = await openBucket(address, { onWait: (message) => void told.push(message) });
      opened.store.close();
      expect(told).toEqual([
        expect.stringMatching(
          /^the source does not serve requests at present \(status 429: .+\): trying for 30 s before giving up$/,
        ),
      ]);
    });

    it('and stays so, for longer than one has patience', async () => {
      faults(server).on('HEAD').status(503, { code: 'SlowDown' });
      await expect(openBucket(address, { patienceMs: 300 })).rejects.toThrow(
        'it does not serve requests at present (status 503)',
      );
    });

    it('and is given up when it is not wanted any more', async () => {
      faults(server).on('HEAD').status(503, { code: 'SlowDown' });
      const wanted = new AbortController();
      const opening = openBucket(address, {
        signal: wanted.signal,
        onWait: () => wanted.abort('not wanted'),
      });
      await expect(opening).rejects.toBe('not wanted');
    });
  });
});

describe('TLS', () => {
  let secure: S3Server;
  beforeEach(async () => {
    secure = await startServer({ tls: TLS });
  });
  afterEach(() => secure.close());

  it('opens a bucket whose certificate is trusted', async () => {
    const opened = await openBucket(addressOf(secure));
    opened.store.close();
  });

  it('is refused with an unknown certificate, and names the flag to trust it', async () => {
    const endpoint = { ...addressOf(secure).endpoint, tls: { verify: true } };
    const { message, hint } = await failure({ endpoint });
    expect(message).toMatch(/certificate is self-signed \(DEPTH_ZERO_SELF_SIGNED_CERT\)/);
    expect(hint).toMatch(/--src-ca-file/);
  });

  it('is accepted with an unknown certificate when told so', async () => {
    const endpoint = { ...addressOf(secure).endpoint, tls: { verify: false } };
    const opened = await openBucket({ ...addressOf(secure), endpoint });
    opened.store.close();
  });

  it('is refused with the certificate of another host', async () => {
    const trusted = addressOf(secure).endpoint;
    // Of all loopback addresses the certificate names 127.0.0.1 alone; 127.1 is that one, misspelt.
    const endpoint = { ...trusted, host: '127.1' };
    expect((await failure({ endpoint })).message).toMatch(/for another host name/);
  });

  it('is not spoken by a plain port', async () => {
    const endpoint = { ...address.endpoint, tls: { verify: true } };
    const { message, hint } = await failure({ endpoint });
    expect(message).toMatch(/it does not speak TLS: http instead of https\?/);
    expect(hint).toMatch(/scheme and the port of --src-url/);
  });

  it('is wanted by a port that is asked without', async () => {
    const endpoint = { ...addressOf(secure).endpoint, tls: undefined };
    expect((await failure({ endpoint })).hint).toMatch(/is http or https right/);
  });
});

describe('what listens is not S3:', () => {
  const page = '<!DOCTYPE html><title>Welcome</title>';

  it.each([200, 403, 404])('a web server that answers %i', async (status) => {
    const web = createServer((_, response) => {
      response.writeHead(status, { 'content-type': 'text/html' }).end(page);
    });
    await new Promise<void>((resolve) => void web.listen(0, '127.0.0.1', resolve));
    const endpoint = { ...address.endpoint, port: (web.address() as AddressInfo).port };
    const { hint } = await failure({ endpoint });
    expect(hint).toMatch(/must be an S3 endpoint/);
    web.closeAllConnections();
    web.close();
  });

  it('a server of another protocol', async () => {
    const mail = createTcpServer((socket) => {
      // The client ends what it does not understand by a reset.
      socket.on('error', () => undefined);
      socket.end('220 mail.example ESMTP\r\n\r\n');
    });
    await new Promise<void>((resolve) => void mail.listen(0, '127.0.0.1', resolve));
    const endpoint = { ...address.endpoint, port: (mail.address() as AddressInfo).port };
    expect((await failure({ endpoint })).message).toMatch(/malformed/);
    mail.close();
  });
});

describe('the region', () => {
  let abroad: S3Server;
  beforeEach(async () => {
    abroad = await startServer({ region: 'eu-central-1' });
  });
  afterEach(() => abroad.close());

  const tellRegion = () => faults(abroad).on('HEAD').header('x-amz-bucket-region', 'eu-central-1');

  it('is taken from the answer of the bucket', async () => {
    tellRegion();
    const opened = await openBucket(addressOf(abroad));
    expect(opened.region).toBe('eu-central-1');
    await opened.store.headBucket();
    opened.store.close();
  });

  it('that was given is not changed; the right one is told', async () => {
    tellRegion();
    const { message, hint } = await failure({ ...addressOf(abroad), region: 'us-west-2' });
    expect(message).toMatch(/the bucket is elsewhere \(status 400\): in region eu-central-1/);
    expect(hint).toMatch(/--src-region/);
  });

  it('of a redirect is told, with the flags', async () => {
    faults(abroad)
      .on('HEAD')
      .status(301, { code: 'PermanentRedirect' })
      .header('x-amz-bucket-region', 'eu-central-1');
    const { message } = await failure(addressOf(abroad));
    expect(message).toMatch(/\(status 301\)/);
  });
});

describe('both buckets', () => {
  const destination = () => ({ ...address, side: 'destination', flagPrefix: '--dest' });

  it('are opened at once', async () => {
    const opened = await openBuckets({ source: address, destination: destination() });
    await opened.source.headBucket();
    await opened.destination.headBucket();
    opened.source.close();
    opened.destination.close();
  });

  it('are none when one fails, and the source is named first', async () => {
    const missing = { bucket: 'missing' };
    await expect(
      openBuckets({ source: address, destination: { ...destination(), ...missing } }),
    ).rejects.toThrow(/^destination/);
    await expect(
      openBuckets({
        source: { ...address, ...missing },
        destination: { ...destination(), ...missing },
      }),
    ).rejects.toThrow(/^source/);
  });
});
