/**
 * T15 and T16: the bucket is elsewhere, or the certificate is not right. The run stops with what to do, or the object
 * fails; nothing is sent to where a redirect points, and nobody is asked again and again.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { answering, ok, startScriptedServer } from '../wire/scripted-server.ts';
import { KINDS, MAKING, objectOf, PROOF } from './destination-scene.ts';
import { Invariants } from './invariants.ts';
import { startProxy } from './proxy.ts';

const REGION = 'eu-west-3';

/** Where a redirect points: whoever follows it is seen. */
const startElsewhere = () => startScriptedServer(answering(() => ok('')));

async function given(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  for (const kind of KINDS) migration.source.bucket.put(kind as ObjectKey, objectOf(kind, kind));
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration) };
}

test.each([301, 302, 307, 308])(
  'T15: %i to the first request stops the run with the region to give, and is not followed',
  async (status) => {
    const { migration } = await given();
    const elsewhere = await startElsewhere();
    migration.destination.script
      .on('HeadBucket')
      .header('location', `http://127.0.0.1:${elsewhere.port}/archive`)
      .header('x-amz-bucket-region', REGION)
      .status(status);

    const { exitCode, stderr } = await migration.run({ 'dest-region': 'us-east-1' });

    expect(exitCode).toBe(3);
    expect(stderr).toContain(`the bucket is elsewhere (status ${status}): in region ${REGION}`);
    expect(stderr).toContain('--dest-url, and --dest-region');
    expect(elsewhere.peers).toHaveLength(0);
    expect(migration.writesSeen()).toBe(0);
  },
);

test.each([301, 308])(
  'T15: %i of a web server, as from http to https, is told with where it points to',
  async (status) => {
    const { migration } = await given();
    const elsewhere = await startElsewhere();
    const location = `http://127.0.0.1:${elsewhere.port}/archive`;
    migration.destination.script
      .on('HeadBucket')
      .header('location', location)
      .header('content-type', 'text/html')
      .status(status);

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(3);
    expect(stderr).toContain(`the bucket is elsewhere (status ${status}): ${location}`);
    expect(stderr).toContain('give that endpoint with --dest-url');
    expect(elsewhere.peers).toHaveLength(0);
  },
);

test('T15: 307 to the first write of the probe stops the run with the region', async () => {
  const { migration } = await given();
  const elsewhere = await startElsewhere();
  migration.destination.script
    .seeProbe()
    .on('PUT')
    .header('location', `http://127.0.0.1:${elsewhere.port}/archive`)
    .header('x-amz-bucket-region', REGION)
    .status(307, { code: 'TemporaryRedirect' });

  const { exitCode, stderr } = await migration.run();

  expect(exitCode).toBe(3);
  expect(stderr).toContain(`307 TemporaryRedirect, the bucket is in region ${REGION}`);
  expect(elsewhere.peers).toHaveLength(0);
  expect(migration.destination.bucket.keys()).toEqual([]);
});

for (const cores of [1, 2]) {
  test.each([
    [301, 'PermanentRedirect'],
    [307, 'TemporaryRedirect'],
  ] as const)(
    `T15: %i to a listed key fails it with the region, once asked and never followed (--cores ${cores})`,
    async (status, code) => {
      const { migration, invariants } = await given();
      const { script, bucket } = migration.destination;
      const elsewhere = await startElsewhere();
      for (const operation of new Set(Object.values(MAKING))) {
        script
          .on(operation)
          .header('location', `http://127.0.0.1:${elsewhere.port}/archive`)
          .header('x-amz-bucket-region', REGION)
          .status(status, { code });
      }

      expect(await migration.run({ cores })).toMatchObject({ exitCode: 1 });

      const { failed } = await invariants.expectComplete();
      expect(failed).toHaveLength(KINDS.length);
      for (const line of failed) {
        expect(line).toMatchObject({ code, status: String(status), attempts: '1' });
        expect(line.message).toContain(`in region ${REGION}, at http://127.0.0.1:`);
      }
      expect(script.count('PutObject')).toBe(2);
      expect(elsewhere.peers).toHaveLength(0);
      expect(bucket.keys()).toEqual([]);
      expect(bucket.uploads()).toEqual([]);
    },
  );
}

function pem(path: string): string {
  return readFileSync(join(import.meta.dirname, path), 'utf8');
}

interface Certificate {
  readonly fault: string;
  readonly name: string;
  /** Whether the operator trusts it. */
  readonly isTrusted: boolean;
  readonly says: string;
  readonly hint: string;
}

const CERTIFICATES: readonly Certificate[] = [
  {
    fault: 'of an unknown authority',
    name: '../s3-server/localhost',
    isTrusted: false,
    says: 'its certificate is self-signed (DEPTH_ZERO_SELF_SIGNED_CERT)',
    hint: 'Give the certificate of its authority with --dest-ca-file',
  },
  {
    fault: 'for another host',
    name: '../wire/localhost-only',
    isTrusted: true,
    says: 'its certificate is for another host name (ERR_TLS_CERT_ALTNAME_INVALID)',
    hint: 'Give the name that it is for with --dest-url',
  },
  {
    fault: 'that has expired',
    name: 'expired',
    isTrusted: true,
    says: 'its certificate has expired (CERT_HAS_EXPIRED)',
    hint: 'It has to be renewed',
  },
];

/** The three requests for a bucket, and what an attempt on another address takes. */
const FEW = 3;

test.each(CERTIFICATES)(
  'T16: a certificate $fault stops the run in one line, and nothing is sent',
  async ({ name, isTrusted, says, hint }) => {
    const { migration } = await given();
    const cert = `${name}.cert.pem`;
    const server = await startScriptedServer(
      async (peer) => {
        if ((await peer.request()) !== undefined) throw new Error('a request was sent');
      },
      { key: pem(`${name}.key.pem`), cert: pem(cert) },
    );

    const { exitCode, stderr } = await migration.run({
      'dest-url': `https://127.0.0.1:${server.port}`,
      ...(isTrusted && { 'dest-ca-file': join(import.meta.dirname, cert) }),
    });

    expect(exitCode).toBe(3);
    const [first = '', second = '', ...others] = stderr.split('\n');
    expect(first).toContain(`s3migrate: destination https://127.0.0.1:${server.port}/archive: `);
    expect(first).toContain(says);
    expect(second).toContain(hint);
    expect(others).toEqual(['']);
    expect(server.peers.length).toBeLessThanOrEqual(FEW);
    expect(migration.source.script.count('GetObject')).toBe(0);
  },
);

test.each([
  ['end', 'the connection was closed before it was ready'],
  ['reset', 'the connection was reset before it was ready (ECONNRESET)'],
] as const)(
  'T16: a handshake that breaks off (%s) stops the run in one line',
  async (ending, says) => {
    const { migration } = await given();
    const server = await startScriptedServer(async (peer) => {
      await new Promise((resolve) => peer.socket.once('data', resolve));
      peer[ending]();
    });

    const { exitCode, stderr } = await migration.run({
      'dest-url': `https://127.0.0.1:${server.port}`,
    });

    expect(exitCode).toBe(3);
    const [first = '', second = '', ...others] = stderr.split('\n');
    expect(first).toContain(says);
    expect(second).toContain('--dest-url');
    expect(others).toEqual(['']);
    expect(server.peers.length).toBeLessThanOrEqual(FEW);
  },
);

test.each([1, 2])(
  'T16: handshakes that break off in the middle of a run are tried again (--cores %i)',
  async (cores) => {
    const tls = {
      key: pem('../s3-server/localhost.key.pem'),
      cert: pem('../s3-server/localhost.cert.pem'),
    };
    const migration = await prepareMigration({ destination: { tls } });
    const { source, destination } = migration;
    for (const kind of KINDS) source.bucket.put(kind as ObjectKey, objectOf(kind, kind));
    await migration.listKeys();
    const invariants = new Invariants(migration);
    let isProbed = false;
    let broken = 0;
    const kept = new Set<Socket>();
    source.script
      .on('GET')
      .times(1)
      .before(() => {
        isProbed = true;
        // What the probe has opened is not to be used again.
        for (const socket of kept) socket.destroy();
        kept.clear();
      });
    const port = await startProxy(destination.server.port, ({ client, server }) => {
      kept.add(client);
      if (!isProbed || broken === 3) return;
      broken++;
      client.once('data', () => {
        server.destroy();
        client.resetAndDestroy();
      });
    });
    const { exitCode } = await migration.run({
      cores,
      'dest-url': `https://127.0.0.1:${port}`,
      'dest-ca-file': join(import.meta.dirname, '../s3-server/localhost.cert.pem'),
    });

    expect(exitCode).toBe(0);
    const { migrate } = await invariants.expectComplete();
    expect(migrate.map(({ key, outcome, detail }) => [key, outcome, detail])).toEqual(
      KINDS.toSorted().map((kind) => [kind, 'copied', PROOF[kind]]),
    );
    expect(broken).toBe(3);
    expect(destination.bucket.uploads()).toEqual([]);
  },
);
