/**
 * The demo's checks find what they are there to find.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Check, checkMigration, type Migration } from '../../src/cli/demo-compare.ts';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { Bucket, type StoredObject } from '../../src/s3-server/bucket.ts';

const MAIL = keyFromText('mail');
const PHOTO = keyFromText('photo');
const LISTED = keyFromText('listed');
const UNLISTED = keyFromText('unlisted');
const HEADER = 'key,outcome,bytes,etag,detail\n';
const LOG_LINES = [
  'mail,copied,1,e,md5\n',
  'photo,copied,1,e,md5\n',
  'unlisted,skipped-upload,,,exists\n',
];

function newBucket(): Bucket {
  return new Bucket({ minPartBytes: 1, now: () => 0 });
}

function put(bucket: Bucket, key: ObjectKey, text = 'x', title = 'a title'): StoredObject {
  return bucket.put(key, { body: Buffer.from(text), headers: { 'x-amz-meta-title': title } });
}

let migration: Omit<Migration, 'logFolder'>;

/** All as it should be. */
beforeEach(() => {
  const [source, destination] = [newBucket(), newBucket()];
  for (const key of [MAIL, PHOTO, LISTED, UNLISTED]) put(source, key);
  for (const key of [MAIL, PHOTO]) put(destination, key);
  const listed = new Map([[LISTED, put(destination, LISTED, 'newer')]]);
  const unlisted = new Map([[UNLISTED, put(destination, UNLISTED, 'newer')]]);
  migration = { source, destination, listed, unlisted };
});

/** What is wrong by the checks, without their claims. */
async function problems(logs: { log?: string; failedLog?: string } = {}): Promise<string[]> {
  const checks = await check(logs);
  return checks.flatMap((one) => one.problems);
}

async function check({
  log = HEADER + LOG_LINES.join(''),
  failedLog = 'key,at,code,status,attempts,message\n',
}: {
  log?: string;
  failedLog?: string;
} = {}): Promise<Check[]> {
  const logFolder = await mkdtemp(join(tmpdir(), 's3migrate-test-'));
  onTestFinished(() => rm(logFolder, { recursive: true, force: true }));
  await writeFile(join(logFolder, 'migrate.log'), log, 'latin1');
  await writeFile(join(logFolder, 'failed.log'), failedLog, 'latin1');
  return checkMigration({ ...migration, logFolder });
}

it('has six claims and no problem when all is as it should be', async () => {
  const checks = await check();
  expect(checks.map((one) => one.problems)).toEqual([[], [], [], [], [], []]);
  expect(checks[0]?.claim).toContain('2 objects (2B) copied');
  expect(checks[1]?.claim).toContain('2 objects that others put there');
  expect(checks[3]?.claim).toContain('each of the 3 transferred keys');
});

describe('the buckets', () => {
  it('finds an object that is missing', async () => {
    migration.destination.delete(MAIL);
    expect(await problems()).toEqual(['mail: missing']);
  });

  it('finds one byte that differs', async () => {
    put(migration.destination, MAIL, 'y');
    expect(await problems()).toEqual(['mail: other content']);
  });

  it('finds metadata that differs, is missing or is too much', async () => {
    put(migration.destination, MAIL, 'x', 'another title');
    migration.destination.put(PHOTO, {
      body: Buffer.from('x'),
      headers: { 'cache-control': 'no-store' },
    });
    expect(await problems()).toEqual([
      'mail: other metadata: x-amz-meta-title',
      'photo: other metadata: cache-control, x-amz-meta-title',
    ]);
  });

  it.each([LISTED, UNLISTED])(
    'finds that %s of another was overwritten, even with equal bytes',
    async (key) => {
      put(migration.destination, key, 'newer');
      expect(await problems()).toEqual([`${key}: overwritten or gone`]);
    },
  );

  it('finds an object of unknown origin', async () => {
    put(migration.destination, keyFromText('probe\x1b[2J'));
    expect(await problems()).toEqual(['probe\\x1B[2J: not in the source']);
  });

  it('finds an unfinished multipart upload', async () => {
    migration.destination.createUpload(PHOTO, { headers: {}, tags: new Map() });
    expect(await problems()).toEqual(['photo']);
  });
});

describe('the logs', () => {
  const [mail = '', photo = '', unlisted = ''] = LOG_LINES;
  it.each([
    ['a key is missing', mail + unlisted, ['photo: not recorded']],
    ['a key is there twice', mail + mail + photo + unlisted, ['mail: twice']],
    ['keys are out of order', photo + mail + unlisted, ['mail: after photo']],
    ['the last line is cut off', mail + photo + unlisted.slice(0, -1), ['unlisted: not recorded']],
    ['a line is no record', `${mail}?\n${photo}${unlisted}`, ['not a record: ?']],
    ['a key failed', mail + photo.replace('copied,1,e', 'failed,,') + unlisted, ['photo: failed']],
    [
      'a key has no business there',
      `listed,copied,1,e,md5\n${mail}${photo}${unlisted}`,
      ['listed: recorded, but not to be transferred'],
    ],
  ])('finds that %s', async (_what, lines, found) => {
    expect(await problems({ log: HEADER + lines })).toEqual(found);
  });

  it('finds a line of failed.log', async () => {
    expect(await problems({ failedLog: 'header\nmail,x\n' })).toEqual(['mail,x']);
  });
});
