/**
 * A run that is asked to end before it has begun.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type MigrateOptions, migrate } from '../src/migrate.ts';
import { keyFromText } from '../src/object-key.ts';
import { rehearse } from '../src/rehearsal.ts';
import type { BucketAddress } from '../src/s3/open-store.ts';
import { DEFAULT_POLICY } from '../src/transfer/copy-policy.ts';

/** Nobody listens there. */
function bucket(side: 'source' | 'destination'): BucketAddress {
  return {
    side,
    flagPrefix: '--src',
    endpoint: { host: '127.0.0.1', port: 1, tls: undefined },
    bucket: 'photos',
    credentials: { accessKey: 'a', secret: 'b', sessionToken: undefined },
    region: undefined,
    addressing: undefined,
  };
}

async function givenOptions(): Promise<MigrateOptions> {
  const root = await mkdtemp(join(tmpdir(), 's3migrate-run-'));
  onTestFinished(() => rm(root, { recursive: true }));
  await writeFile(join(root, '00000.txt'), 'photos/a.jpg\n');
  return {
    source: bucket('source'),
    destination: bucket('destination'),
    sourceLists: root,
    destinationLists: root,
    threads: 1,
    threadsMin: 1,
    maxOutageMs: 60_000,
    cores: 1,
    memoryBytes: 16 * 1024 ** 2,
    multipartThresholdBytes: 16 * 1024 ** 2,
    partBytes: undefined,
    policy: DEFAULT_POLICY,
    probePrefix: keyFromText('probe/'),
    shard: { count: 1, value: 0 },
    startAfter: undefined,
    first: undefined,
    failOnMissing: false,
    maxFailures: undefined,
    logFolder: join(root, 'logs'),
    aheadLimitBytes: 1,
    toolVersion: '0.0.0',
  };
}

const interrupted = {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: AbortSignal.abort('SIGTERM'),
  onLeave: () => undefined,
};

it('ends as interrupted when Ctrl-C comes while the lists are opened, with nothing begun', async () => {
  const options = await givenOptions();
  expect(await migrate(options, interrupted)).toMatchObject({
    end: { kind: 'interrupted', signal: 'SIGTERM' },
    error: undefined,
  });
  expect(await readdir(options.sourceLists)).toEqual(['00000.txt']);
});

it('lets a rehearsal end in the same way', async () => {
  await expect(rehearse(await givenOptions(), interrupted)).resolves.toBeUndefined();
});
