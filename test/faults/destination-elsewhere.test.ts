/**
 * T15 to T17: the bucket is elsewhere, the certificate is not right, the connection has been closed while it was idle.
 */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { answering, listen, ok, startScriptedServer } from '../wire/scripted-server.ts';
import {
  copied,
  failed,
  KINDS,
  MAKING,
  ofKinds,
  PROOF,
  testTogether,
} from './destination-scene.ts';
import { Invariants } from './invariants.ts';

const OTHER_REGION = 'eu-west-3';

/** Where a redirect points: whoever follows it is seen. */
const startElsewhere = () => startScriptedServer(answering(() => ok('')));

async function givenPhotos(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  return { migration, invariants: new Invariants(migration) };
}

describe('T15', () => {
  it.each([301, 302, 307, 308])(
    'T15: %i to the first request stops the run with the region to give, and is not followed',
    async (status) => {
      const { migration } = await givenPhotos();
      const elsewhere = await startElsewhere();
      migration.destination.script
        .on('HeadBucket')
        .header('location', `http://127.0.0.1:${elsewhere.port}/archive`)
        .header('x-amz-bucket-region', OTHER_REGION)
        .status(status);

      const { exitCode, stderr } = await migration.run({ 'dest-region': 'us-east-1' });

      expect(exitCode).toBe(3);
      expect(stderr).toContain(
        `the bucket is elsewhere (status ${status}): in region ${OTHER_REGION}`,
      );
      expect(stderr).toContain('--dest-url, and --dest-region');
      expect(elsewhere.peers).toHaveLength(0);
      expect(migration.writesSeen()).toBe(0);
    },
  );
});

test('scratch', async () => {
  const { migration } = await givenPhotos();
  migration.destination.script
    .seeProbe()
    .on('PUT')
    .header('x-amz-bucket-region', OTHER_REGION)
    .status(307, { code: 'TemporaryRedirect' });
  console.log((await migration.run()).stderr);
  migration.destination.script.clear();
  migration.destination.script
    .on('HeadBucket')
    .header('content-type', 'text/html')
    .header('location', 'https://x/')
    .status(301);
  console.log((await migration.run()).stderr);
});
