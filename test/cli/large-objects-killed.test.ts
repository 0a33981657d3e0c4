/**
 * A run that is killed in the middle of a large object goes on inside it: only what is missing is sent again,
 * whatever the destination and the source have become meanwhile, and nothing is left over in the end.
 */
import { hash } from 'node:crypto';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { Upload } from '../../src/s3-server/bucket.ts';
import { Invariants } from '../faults/invariants.ts';
import { digestsOf, gate, type Migration, prepareMigration } from './migration.ts';

const MIB = 1024 ** 2;
const PART_BYTES = 5 * MIB;
const KEY = 'films/harbour.mov';
const PARTS = 4;
/** `--threads 1` copies the parts one after another. */
const FLAGS = { threads: 1, cores: 1, 'part-size': '5MiB', 'multipart-threshold': '16MiB' };
/** Four parts, of which no two are equal. */
function film(fill = 'water'): Buffer {
  const body = Buffer.alloc(PARTS * PART_BYTES - 1000, fill);
  for (let at = 0; at < body.length; at += MIB) body[at] = at / MIB;
  return body;
}

interface Scene {
  readonly migration: Migration;
  readonly invariants: Invariants;
}

async function givenFilm({ keptParts = true }: { keptParts?: boolean } = {}): Promise<Scene> {
  const migration = await prepareMigration();
  migration.source.put(KEY, film(), keptParts ? { partBytes: PART_BYTES } : {});
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration) };
}

/**
 * Kills the run while this part is under way, and as many as come before it are in the journal.
 *
 * @returns the numbers of those in the journal
 */
async function killInPart(
  cut: number,
  { migration, invariants }: Scene,
  flags = {},
): Promise<string[]> {
  const { script } = migration.destination;
  const arrived = gate();
  const killed = gate();
  script
    .on('UploadPart')
    .where(({ query, headers }) => {
      // What finds out about digests is a part of a few bytes.
      const isOfObject = Number(headers.get('content-length')) >= MIB;
      return isOfObject && query.get('partNumber') === String(cut);
    })
    .times(1)
    .before(() => {
      arrived.open();
      return killed.opened;
    })
    .disconnect();
  const program = migration.start({ ...FLAGS, ...flags });
  await program.reaches(arrived.opened);
  await program.reaches(
    migration.uploadsNote((journal) => acknowledgedIn(journal).length >= cut - 1),
  );
  program.kill('SIGKILL');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
  killed.open();
  await invariants.expectSound();
  expect(uploadsOf(migration)).toHaveLength(1);
  return acknowledgedIn(await readFile(migration.uploadsFile, 'latin1'));
}

/** In the third part: two are acknowledged. */
async function killInThirdPart(scene: Scene): Promise<void> {
  expect(await killInPart(3, scene)).toEqual(['1', '2']);
}

function acknowledgedIn(journal: string): string[] {
  return [...journal.matchAll(/"part":(\d+)/g)].map(([, number = '']) => number).toSorted();
}

const uploadsOf = ({ destination }: Migration): readonly Upload[] => destination.bucket.uploads();

/** Numbers of the object's parts that were stored since then; a refused one is what finds out about digests. */
function partsSent({ destination }: Migration, since = 0): string[] {
  return destination.script.requests
    .slice(since)
    .filter(({ operation, status }) => operation === 'UploadPart' && status === 200)
    .map(({ query }) => query.get('partNumber') ?? '')
    .toSorted();
}

/** Runs to the end and checks all that must hold then. */
async function resume({ migration, invariants }: Scene, flags = {}) {
  const since = migration.destination.script.requests.length;
  const { exitCode, stderr } = await migration.run({ ...FLAGS, ...flags });
  expect(stderr).toContain('every listed key is accounted for');
  expect(exitCode).toBe(0);
  await invariants.expectComplete();
  expect(uploadsOf(migration)).toEqual([]);
  return { stderr, sent: partsSent(migration, since), log: await migration.migrateLog() };
}

const ALL = ['1', '2', '3', '4'];
const MISSING = ['3', '4'];

describe('after kill -9 in the middle of a large object', () => {
  it.each([
    { cores: 1, keptParts: true },
    { cores: 1, keptParts: false },
    { cores: 2, keptParts: true },
    { cores: 2, keptParts: false },
  ])(
    'with --cores $cores, only the missing parts are sent, and the log is as without a kill',
    async ({ cores, keptParts }) => {
      const flags = { cores, threads: cores };
      const whole = await givenFilm({ keptParts });
      await resume(whole, flags);
      const scene = await givenFilm({ keptParts });
      const { script } = scene.migration.destination;
      const acknowledged = await killInPart(3, scene, flags);
      const created = script.count('CreateMultipartUpload');

      const { sent, log } = await resume(scene, flags);

      expect(sent).toEqual(ALL.filter((number) => !acknowledged.includes(number)));
      expect(script.count('CreateMultipartUpload')).toBe(created);
      expect(log).toEqual(await whole.migration.migrateLog());
      expect(digestsOf(scene.migration.destination)).toEqual(digestsOf(scene.migration.source));
    },
  );

  it('again and again, each part is sent once', async () => {
    const scene = await givenFilm();
    for (const cut of [1, 2, 4]) await killInPart(cut, scene);
    expect((await resume(scene)).sent).toEqual(['4']);
    expect(partsSent(scene.migration)).toEqual(ALL);
  });

  it('an upload that had only found out about digests is aborted', async () => {
    const scene = await givenFilm();
    const { migration } = scene;
    const arrived = gate();
    const { script } = migration.destination;
    script.on('UploadPart').times(1).before(arrived.open).hang();
    const program = migration.start(FLAGS);
    await program.reaches(arrived.opened);
    program.kill('SIGKILL');
    await program.ended;
    expect(uploadsOf(migration)).toHaveLength(1);
    expect((await resume(scene)).sent).toEqual(ALL);
  });

  it('an object that has been overwritten at the source is copied anew', async () => {
    const scene = await givenFilm();
    const { migration, invariants } = scene;
    await killInThirdPart(scene);
    migration.source.put(KEY, film('newer'), { partBytes: PART_BYTES });
    invariants.noteSource();

    const { sent } = await resume(scene);

    expect(sent).toEqual(ALL);
    expect(digestsOf(migration.destination)).toEqual({ [KEY]: hash('sha256', film('newer')) });
  });

  it('an object that has become a small one leaves no upload behind', async () => {
    const scene = await givenFilm();
    await killInThirdPart(scene);
    scene.migration.source.put(KEY, 'a still picture');
    scene.invariants.noteSource();
    expect((await resume(scene)).sent).toEqual([]);
  });

  it('an object that is not at the source any more leaves no upload behind', async () => {
    const scene = await givenFilm();
    await killInThirdPart(scene);
    scene.migration.source.bucket.delete(KEY as ObjectKey);
    const { log } = await resume(scene);
    expect(log).toEqual([`${KEY},skipped-download,,,NoSuchKey`]);
  });

  it('an object that another client has written meanwhile is left alone, and the upload aborted', async () => {
    const scene = await givenFilm();
    const { migration, invariants } = scene;
    await killInThirdPart(scene);
    migration.destination.put(KEY, 'what another client wrote');
    invariants.noteForeign(KEY);
    const { log, sent } = await resume(scene);
    expect(sent).toEqual([]);
    expect(log).toEqual([`${KEY},skipped-upload,,,exists-differs`]);
  });

  it.each([
    ['another length of parts', { 'part-size': '6MiB' }],
    ['other headers', { 'storage-class': 'STANDARD_IA' }],
  ])('a command with %s begins the object anew', async (_, flags) => {
    const scene = await givenFilm({ keptParts: false });
    await killInThirdPart(scene);
    const { sent } = await resume(scene, flags);
    expect(sent).toEqual(ALL);
  });

  it.each<[string, (upload: Upload, { destination }: Migration) => void]>([
    [
      'lacks',
      ({ parts }) => {
        (parts as Map<number, unknown>).delete(2);
      },
    ],
    [
      'shows under another ETag',
      (upload, { destination }) => {
        const body = Buffer.alloc(PART_BYTES, 'of somebody else');
        const checksums = { 'x-amz-checksum-crc32': 'AAAAAA==' };
        destination.bucket.putPart(upload, 2, { body, checksums });
      },
    ],
    [
      'shows half of',
      ({ parts }) => {
        const part = parts.get(2);
        const half = { ...part, body: part?.body.subarray(0, PART_BYTES / 2) };
        (parts as Map<number, unknown>).set(2, half);
      },
    ],
  ])('a part that the destination %s is sent again', async (_, change) => {
    const scene = await givenFilm();
    await killInThirdPart(scene);
    change(uploadsOf(scene.migration)[0] as Upload, scene.migration);
    expect((await resume(scene)).sent).toEqual(['2', ...MISSING]);
  });

  it('a part that is only half there, under its full length, is sent again', async () => {
    const scene = await givenFilm();
    const { script } = scene.migration.destination;
    await killInThirdPart(scene);
    const [upload] = uploadsOf(scene.migration);
    // As versitygw lists what a cut connection has left of a part.
    scene.migration.destination.bucket.putPart(upload as Upload, 3, {
      body: Buffer.alloc(PART_BYTES),
      checksums: { 'x-amz-checksum-crc32': 'AAAAAA==' },
    });
    expect((await resume(scene)).sent).toEqual(MISSING);
    expect(script.count('ListParts')).toBe(1);
  });

  it('a part whose acknowledgement is not in the journal is sent again', async () => {
    const scene = await givenFilm();
    const { migration } = scene;
    await killInThirdPart(scene);
    const journal = await readFile(migration.uploadsFile, 'latin1');
    await writeFile(migration.uploadsFile, journal.replace(/^.*"part":2,.*\n/m, ''));
    expect((await resume(scene)).sent).toEqual(['2', ...MISSING]);
  });

  it('an upload that somebody has aborted meanwhile is begun anew', async () => {
    const scene = await givenFilm();
    const { bucket } = scene.migration.destination;
    await killInThirdPart(scene);
    bucket.abortUpload(uploadsOf(scene.migration)[0] as Upload);
    expect((await resume(scene)).sent).toEqual(ALL);
  });

  it('a destination that does not tell its parts gets all of them, and that is told', async () => {
    const scene = await givenFilm();
    scene.migration.destination.script.on('ListParts').status(403, { code: 'AccessDenied' });
    await killInThirdPart(scene);
    const { sent, stderr } = await resume(scene);
    expect(sent).toEqual(ALL);
    expect(stderr).toContain(`${KEY} is begun anew: the destination does not tell`);
  });

  it('the failed object of a run that goes on leaves no upload behind', async () => {
    const scene = await givenFilm();
    const { migration } = scene;
    await killInThirdPart(scene);
    migration.source.script.on('GetObject', KEY).status(403, { code: 'AccessDenied' });
    expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 1 });
    expect(uploadsOf(migration)).toEqual([]);
  });
});

describe('after Ctrl-C', () => {
  it('pressed twice, the next run goes on inside the object', async () => {
    const scene = await givenFilm();
    const { migration } = scene;
    const { script } = migration.destination;
    const held = gate();
    script
      .on('UploadPart')
      .where(({ query }) => query.get('partNumber') === '3')
      .times(1)
      .before(() => held.opened)
      .disconnect();
    const program = migration.start(FLAGS);
    await program.reaches(
      script.until((seen) => seen.some(({ query }) => query.get('partNumber') === '3')),
    );
    await program.reaches(migration.uploadsNote((journal) => acknowledgedIn(journal).length === 2));
    program.kill('SIGINT');
    await program.until('stderr', (printed) => printed.includes('stopping:'));
    program.kill('SIGINT');
    expect(await program.ended).toMatchObject({ exitCode: 130 });
    held.open();
    expect((await resume(scene)).sent).toEqual(MISSING);
  });

  it('an upload that was not come to is kept for the next run, and told of', async () => {
    const scene = await givenFilm();
    const { migration, invariants } = scene;
    const { script } = migration.source;
    migration.source.put('a.jpg', 'a photo before it');
    invariants.noteSource();
    await migration.listKeys();
    const held = gate();
    script
      .on('GetObject', 'a.jpg')
      .times(2)
      .before(() => held.opened);
    await killInPart(3, scene, { threads: 2 });
    const program = migration.start(FLAGS);
    await program.reaches(
      script.until((seen) => seen.filter(({ key }) => key === 'a.jpg').length >= 2),
    );
    program.kill('SIGINT');
    await program.until('stderr', (printed) => printed.includes('stopping:'));
    held.open();

    const { exitCode, stderr } = await program.ended;

    expect(exitCode).toBe(130);
    expect(stderr).toContain('1 unfinished upload kept');
    expect(uploadsOf(migration)).toHaveLength(1);
    expect((await resume(scene)).sent).toEqual(MISSING);
  });
});

describe('after kill -9 around the completion of a large object', () => {
  it.each([true, false])(
    'what had become the object counts as copied, once (parts of the source kept: %s)',
    async (keptParts) => {
      const scene = await givenFilm({ keptParts });
      const { migration } = scene;
      const { script } = migration.destination;
      const done = gate();
      script
        .on('CompleteMultipartUpload')
        .times(1)
        .after(() => {
          done.open();
          // Never answered.
          return gate().opened;
        });
      const program = migration.start(FLAGS);
      await program.reaches(done.opened);
      program.kill('SIGKILL');
      await program.ended;
      expect(uploadsOf(migration)).toEqual([]);

      const { sent, log, stderr } = await resume(scene);

      expect(sent).toEqual([]);
      expect(stderr).toContain('upld 1');
      const etag = migration.destination.bucket.get(KEY as ObjectKey)?.etag;
      expect(log).toEqual([`${KEY},copied,${film().length},${etag},found after a lost answer`]);
    },
  );

  it('what had not is completed then', async () => {
    const scene = await givenFilm();
    const { migration } = scene;
    const arrived = gate();
    migration.destination.script
      .on('CompleteMultipartUpload')
      .times(1)
      .before(() => {
        arrived.open();
        return gate().opened;
      });
    const program = migration.start(FLAGS);
    await program.reaches(arrived.opened);
    program.kill('SIGKILL');
    await program.ended;

    const { sent, log } = await resume(scene);

    expect(sent).toEqual([]);
    expect(log[0]).toMatch(/,etag-parts$/);
  });

  it('and before its line is in migrate.log, it counts as copied', async () => {
    const scene = await givenFilm();
    const { migration } = scene;
    const held = gate();
    // The page has another object, which is not done yet.
    migration.source.put('films/zoo.mov', 'z');
    await migration.listKeys();
    scene.invariants.noteSource();
    migration.source.script
      .on('GetObject', 'films/zoo.mov')
      .times(1)
      .before(() => held.opened)
      .disconnect();
    const program = migration.start({ ...FLAGS, threads: 4 });
    await program.reaches(migration.uploadsNote((journal) => journal.includes('"completed"')));
    program.kill('SIGKILL');
    await program.ended;
    held.open();

    const { log } = await resume(scene);

    expect(log[0]).toMatch(/^films\/harbour.mov,copied,/);
  });
});

describe('an upload whose creation is not answered', () => {
  it('is not aborted, for it may be another client’s; the summary says what to do', async () => {
    const { migration } = await givenFilm();
    migration.uploadsMayBeLeft = 'nobody knows whose it is';
    migration.destination.script.on('CreateMultipartUpload').times(1).loseAnswer();
    const { exitCode, stderr } = await migration.run(FLAGS);
    expect(exitCode).toBe(0);
    expect(uploadsOf(migration)).toHaveLength(1);
    expect(stderr).toContain('1 upload may be left at the destination');
    expect(stderr).toContain('s3migrate cleanup --log-folder');
  });

  it('is forgotten where there is none', async () => {
    const { migration } = await givenFilm();
    migration.destination.script.on('CreateMultipartUpload').times(1).status(500);
    const { exitCode, stderr } = await migration.run(FLAGS);
    expect(exitCode).toBe(0);
    expect(stderr).not.toContain('UPLOADS');
  });
});

it('an upload that cannot be aborted is told of, and the same command aborts it', async () => {
  const { migration } = await givenFilm();
  const { script } = migration.destination;
  script.on('UploadPart').skip(2).status(403, { code: 'AccessDenied' });
  script.on('AbortMultipartUpload').times(2).status(403, { code: 'AccessDenied' });
  const { exitCode, stderr } = await migration.run(FLAGS);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('1 upload could not be aborted');
  expect(uploadsOf(migration)).toHaveLength(1);

  const again = await migration.run(FLAGS);
  expect(again.stderr).toContain('this run is complete already');
  expect(again.stderr).not.toContain('UPLOADS');
  expect(uploadsOf(migration)).toEqual([]);
});

describe('a journal of uploads that cannot be written', () => {
  it.each([1, 2])('stops the run before anything is begun (--cores %i)', async (cores) => {
    const scene = await givenFilm();
    const { migration } = scene;
    // In the place of the file that the journal is made anew in.
    const inTheWay = `${migration.uploadsFile}.part`;
    await mkdir(inTheWay, { recursive: true });
    const flags = { ...FLAGS, cores, threads: cores };

    const { exitCode, stderr } = await migration.run(flags);

    expect(exitCode).toBe(3);
    expect(stderr).toContain(`${migration.uploadsFile}: cannot be written`);
    expect(stderr).toContain('give the same command again');
    expect(migration.destination.script.count('CreateMultipartUpload')).toBe(0);
    await rmdir(inTheWay);
    expect((await resume(scene, flags)).sent).toEqual(ALL);
  });
});
