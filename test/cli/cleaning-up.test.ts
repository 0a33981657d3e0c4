/**
 * `s3migrate cleanup`: what a killed run has left at its destination is shown, and aborted on request; what
 * another client has begun there is not.
 */
import { stat } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { digestsOf, gate, type Migration, prepareMigration } from './migration.ts';

const MIB = 1024 ** 2;
const PART_BYTES = 5 * MIB;
const KEY = 'films/harbour.mov';
const FLAGS = { threads: 1, cores: 1, 'part-size': '5MiB', 'multipart-threshold': '16MiB' };

async function givenFilm(key = KEY): Promise<Migration> {
  const migration = await prepareMigration();
  migration.source.put(key, Buffer.alloc(11 * MIB, 'water'), { partBytes: PART_BYTES });
  await migration.listKeys();
  return migration;
}

/** Stops the run's requests of this kind when they arrive, and kills it then. */
async function killAt(
  migration: Migration,
  operation: 'UploadPart' | 'CreateMultipartUpload',
  { after = false, acknowledged = 0 } = {},
): Promise<void> {
  const arrived = gate();
  const killed = gate();
  const hold = (): Promise<void> => {
    arrived.open();
    return killed.opened;
  };
  const rule = migration.destination.script
    .on(operation)
    .where(({ headers }) => {
      const isOfObject = Number(headers.get('content-length')) >= MIB;
      return operation === 'CreateMultipartUpload' || isOfObject;
    })
    .skip(acknowledged)
    .times(1);
  if (after) rule.after(hold);
  else rule.before(hold).disconnect();
  const program = migration.start(FLAGS);
  await program.reaches(arrived.opened);
  await program.reaches(
    migration.uploadsNote((journal) => journal.split('"part":').length > acknowledged),
  );
  program.kill('SIGKILL');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
  killed.open();
}

/** The columns of each line. */
function linesOf(stdout: string): string[][] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'));
}

const uploadIds = ({ destination }: Migration): string[] =>
  destination.bucket.uploads().map(({ uploadId }) => uploadId);

/** Another client's upload at that key. */
const beginForeign = ({ destination }: Migration, key = KEY): string =>
  destination.bucket.createUpload(key as ObjectKey, { headers: {}, tags: new Map() });

const TIME = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string;

describe('uploads that a killed run has left', () => {
  it('are shown with what is there of them, and left for the run to go on with', async () => {
    const migration = await givenFilm();
    await killAt(migration, 'UploadPart', { acknowledged: 2 });
    const [uploadId = ''] = uploadIds(migration);

    const { exitCode, stdout, stderr } = await migration.cleanUp();

    expect(linesOf(stdout)).toEqual([
      [KEY, uploadId, TIME, '2 parts', `${2 * PART_BYTES} bytes`, 'open'],
    ]);
    expect(stderr).toContain("1 of this run's uploads left");
    expect(stderr).toContain('--abort');
    expect(stderr).toContain('the run of this folder is not complete');
    expect(exitCode).toBe(0);
    expect(uploadIds(migration)).toEqual([uploadId]);
    const before = migration.destination.script.count('UploadPart');
    expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 0 });
    expect(migration.destination.script.count('UploadPart')).toBe(before + 1);
  });

  it('are aborted on request, and the run begins the object anew', async () => {
    const migration = await givenFilm();
    await killAt(migration, 'UploadPart', { acknowledged: 1 });
    const [uploadId = ''] = uploadIds(migration);

    const { exitCode, stdout, stderr } = await migration.cleanUp({ abort: true });

    expect(linesOf(stdout)).toEqual([
      [KEY, uploadId, TIME, '1 parts', `${PART_BYTES} bytes`, 'aborted'],
    ]);
    expect(stderr).toContain('1 aborted');
    expect(exitCode).toBe(0);
    expect(uploadIds(migration)).toEqual([]);
    await expect(stat(migration.uploadsFile)).rejects.toThrow('ENOENT');
    expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 0 });
    expect(digestsOf(migration.destination)).toEqual(digestsOf(migration.source));
  });

  it('are aborted, and no upload of another client, be it at the same key', async () => {
    const migration = await givenFilm();
    migration.uploadsMayBeLeft = 'they are of another client';
    const foreign = [beginForeign(migration)];
    await killAt(migration, 'UploadPart');
    foreign.push(beginForeign(migration), beginForeign(migration, 'films/other.mov'));

    const { exitCode, stdout } = await migration.cleanUp({ abort: true, 'also-unnamed': true });

    expect(linesOf(stdout)).toHaveLength(1);
    expect(exitCode).toBe(0);
    expect(uploadIds(migration)).toEqual(foreign);
  });

  it('that could not be aborted are told of with the reason, and aborted the next time', async () => {
    const migration = await givenFilm();
    await killAt(migration, 'UploadPart');
    const { script } = migration.destination;
    script.on('AbortMultipartUpload').times(1).status(403, { code: 'AccessDenied' });

    const { exitCode, stdout, stderr } = await migration.cleanUp({ abort: true });

    expect(linesOf(stdout)[0]?.at(-1)).toBe('not aborted: AccessDenied: A fault of the test');
    expect(stderr).toContain('1 could not be aborted');
    expect(exitCode).toBe(1);
    expect(uploadIds(migration)).toHaveLength(1);
    expect(await migration.cleanUp({ abort: true })).toMatchObject({ exitCode: 0 });
    expect(uploadIds(migration)).toEqual([]);
  });

  it('are not told of when somebody has aborted them', async () => {
    const migration = await givenFilm();
    await killAt(migration, 'UploadPart');
    const { bucket } = migration.destination;
    for (const upload of bucket.uploads()) bucket.abortUpload(upload);
    const { exitCode, stdout, stderr } = await migration.cleanUp();
    expect(stdout).toBe('');
    expect(stderr).toBe('s3migrate: no upload of this run is left\n');
    expect(exitCode).toBe(0);
  });

  it('can mislead no terminal by their keys', async () => {
    const migration = await givenFilm('films/\x1b[2J\xe2\x80\xaegpj.exe\xff');
    await killAt(migration, 'UploadPart');
    const { stdout } = await migration.cleanUp({ abort: true });
    expect(linesOf(stdout)[0]?.[0]).toBe('films/\\x1B[2J\\xE2\\x80\\xAEgpj.exe\\xFF');
    expect(uploadIds(migration)).toEqual([]);
  });
});

describe('an upload whose creation was not answered', () => {
  it.each([
    { what: 'because the run was killed', kill: true },
    { what: 'because the connection broke', kill: false },
  ])('$what is shown as perhaps another’s, and aborted by a flag of its own', async ({ kill }) => {
    const migration = await givenFilm();
    if (kill) {
      await killAt(migration, 'CreateMultipartUpload', { after: true });
    } else {
      migration.destination.script.on('CreateMultipartUpload').times(1).loseAnswer();
      expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 0 });
    }
    const [uploadId = ''] = uploadIds(migration);
    const columns = [KEY, uploadId, TIME, '0 parts', '0 bytes'];

    const shown = await migration.cleanUp();
    expect(linesOf(shown.stdout)).toEqual([[...columns, "may be another client's"]]);
    expect(shown.stderr).toContain('--abort --also-unnamed');
    const tried = await migration.cleanUp({ abort: true });
    expect(linesOf(tried.stdout)).toEqual([[...columns, "may be another client's"]]);
    expect(uploadIds(migration)).toEqual([uploadId]);
    const aborted = await migration.cleanUp({ abort: true, 'also-unnamed': true });
    expect(linesOf(aborted.stdout)).toEqual([[...columns, 'aborted']]);
    expect(uploadIds(migration)).toEqual([]);
    for (const { exitCode } of [shown, tried, aborted]) expect(exitCode).toBe(0);
  });

  it('is not taken for one that was there before', async () => {
    const clock = { offsetMs: -60_000 };
    const migration = await prepareMigration({
      destination: { now: () => Date.now() + clock.offsetMs },
    });
    migration.uploadsMayBeLeft = 'it is of another client';
    migration.source.put(KEY, Buffer.alloc(11 * MIB), { partBytes: PART_BYTES });
    await migration.listKeys();
    const foreign = beginForeign(migration);
    clock.offsetMs = 0;
    await killAt(migration, 'CreateMultipartUpload');
    const { stdout, exitCode } = await migration.cleanUp({ abort: true, 'also-unnamed': true });
    expect(stdout).toBe('');
    expect(exitCode).toBe(0);
    expect(uploadIds(migration)).toEqual([foreign]);
  });
});

describe('cleanup', () => {
  it('is refused while the run is at work', async () => {
    const migration = await givenFilm();
    const arrived = gate();
    const over = gate();
    migration.destination.script.on('UploadPart').before(() => {
      arrived.open();
      return over.opened;
    });
    const program = migration.start(FLAGS);
    await program.reaches(arrived.opened);
    const { exitCode, stderr } = await migration.cleanUp({ abort: true });
    expect(stderr).toMatch(/^s3migrate: .*another s3migrate works with this folder/);
    expect(exitCode).toBe(2);
    over.open();
    expect(await program.ended).toMatchObject({ exitCode: 0 });
  });

  it('after a run that is complete finds nothing', async () => {
    const migration = await givenFilm();
    expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 0 });
    await expect(stat(migration.uploadsFile)).rejects.toThrow('ENOENT');
    const { exitCode, stderr } = await migration.cleanUp({ abort: true });
    expect(stderr).toBe('s3migrate: no upload of this run is left\n');
    expect(exitCode).toBe(0);
  });

  it.each<[string, Parameters<Migration['cleanUp']>[0], RegExp]>([
    ['without the bucket', { 'dest-bucket': undefined }, /missing --dest-bucket/],
    ['with a folder that is no log folder', { 'log-folder': 'lists' }, /is no log folder/],
    ['with a folder that is not there', { 'log-folder': 'nowhere' }, /is no log folder/],
    ['for another bucket', { 'dest-bucket': 'other' }, /dest-bucket was "archive" and is "other"/],
    ['of unnamed ones without --abort', { 'also-unnamed': true }, /without --abort/],
  ])('%s is refused', async (_, flags, message) => {
    const migration = await givenFilm();
    await killAt(migration, 'UploadPart');
    const { exitCode, stderr, stdout } = await migration.cleanUp(flags);
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(uploadIds(migration)).toHaveLength(1);
    await migration.cleanUp({ abort: true });
  });

  it('of a store that cannot be reached ends with 3, and forgets nothing', async () => {
    const migration = await givenFilm();
    await killAt(migration, 'UploadPart');
    const { script } = migration.destination;
    script.on('HEAD').disconnect();
    const { exitCode, stderr } = await migration.cleanUp({ abort: true });
    expect(stderr).toMatch(/^s3migrate: destination http\S+: HEAD: the connection was broken/m);
    expect(exitCode).toBe(3);
    script.clear();
    script.on('ListParts').status(403, { code: 'AccessDenied' });
    const denied = await migration.cleanUp({ abort: true });
    expect(denied.stderr).toContain('does not tell of its uploads: AccessDenied');
    expect(denied.exitCode).toBe(3);
    script.clear();
    expect(await migration.cleanUp({ abort: true })).toMatchObject({ exitCode: 0 });
  });
});
