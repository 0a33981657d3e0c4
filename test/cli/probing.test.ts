/**
 * What a run finds out about the destination before it writes the first listed key, and what follows
 * from it.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { keysIn, type Migration, photo, prepareMigration } from './migration.ts';

const CLIENTS = 'a newer one, written by a client';

/** Three photos of which a client has written the second at the destination; the lists do not know. */
async function givenNewer(): Promise<Migration> {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  migration.destination.put(photo(1), CLIENTS);
  return migration;
}

/** From now on the destination overwrites whatever the condition says. */
function ignoreConditions({ destination: { script } }: Migration): void {
  script.seeProbe();
  for (const write of ['PutObject', 'CompleteMultipartUpload'] as const) {
    script.on(write).ignoreConditions();
  }
}

const theirs = ({ destination }: Migration): string | undefined =>
  destination.bucket.get(photo(1) as ObjectKey)?.body.toString();

const listedWrites = ({ destination: { script } }: Migration): string[] =>
  script.requests
    .filter(({ method, key }) => method !== 'GET' && method !== 'HEAD' && key.startsWith('photos/'))
    .map(({ key }) => key);

describe('a run', () => {
  it('tells in three lines what the destination does, keeps it in migrate.run.json, and leaves nothing there', async () => {
    const migration = await givenNewer();

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(0);
    const findings = stderr
      .split('\n')
      .filter((line) => line.startsWith('s3migrate: destination: '));
    expect(findings.map((line) => line.split(': ')[2])).toEqual([
      'conditions',
      'digests',
      'not kept',
    ]);
    const run: unknown = JSON.parse(
      await readFile(migration.path('logs/migrate.run.json'), 'utf8'),
    );
    expect(run).toMatchObject({ probe: { putCondition: { kind: 'honoured' }, leftovers: [] } });
    expect(migration.destination.bucket.keys()).toEqual([photo(0), photo(1), photo(2)]);
    expect(migration.destination.bucket.uploads()).toEqual([]);
  });

  it('finds it out anew when it goes on', async () => {
    const migration = await givenNewer();
    expect(await migration.run({ first: 1 })).toMatchObject({ exitCode: 0 });
    ignoreConditions(migration);

    expect(await migration.run()).toMatchObject({ exitCode: 3 });

    expect(theirs(migration)).toBe(CLIENTS);
    expect(keysIn(await migration.migrateLog())).toEqual([photo(0)]);
  });

  it('probes below --probe-prefix', async () => {
    const migration = await givenNewer();
    const script = migration.destination.script.seeProbe();
    expect(await migration.run({ 'probe-prefix': 'tmp/try' })).toMatchObject({ exitCode: 0 });
    expect(script.requests.some(({ key }) => key.startsWith('tmp/try'))).toBe(true);
    expect(script.requests.some(({ key }) => key.startsWith('.s3migrate-probe'))).toBe(false);
  });

  it('that is only rehearsed writes nothing, and says that nothing was probed', async () => {
    const migration = await givenNewer();
    migration.destination.script.seeProbe();
    const { exitCode, stderr } = await migration.run({ 'dry-run': true });
    expect(exitCode).toBe(0);
    expect(stderr).toContain('not probed');
    expect(migration.writesSeen()).toBe(0);
  });
});

describe('a destination that ignores the condition', () => {
  it('stops the run before a listed key is written, with the choices there are', async () => {
    const migration = await givenNewer();
    ignoreConditions(migration);

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(3);
    expect(stderr).toContain('the destination does not honour If-None-Match on PutObject');
    expect(stderr).toContain('--if-exists head');
    expect(stderr).toContain('--if-exists overwrite');
    expect(listedWrites(migration)).toEqual([]);
    expect(theirs(migration)).toBe(CLIENTS);
  });

  it('--if-exists head: is looked at before each write, and the summary tells of the moment between', async () => {
    const migration = await givenNewer();
    ignoreConditions(migration);

    const { exitCode, stderr } = await migration.run({ 'if-exists': 'head' });

    expect(exitCode).toBe(0);
    expect(stderr).toContain('skip 1 (dn 0, up 1) + fail 0 + upld 2');
    expect(stderr).toContain('NOTE      --if-exists head');
    expect(theirs(migration)).toBe(CLIENTS);
    expect(listedWrites(migration).toSorted()).toEqual([photo(0), photo(2)]);
  });

  it('--if-exists overwrite: is overwritten, and the summary says so', async () => {
    const migration = await givenNewer();
    ignoreConditions(migration);

    const { exitCode, stderr } = await migration.run({ 'if-exists': 'overwrite' });

    expect(exitCode).toBe(0);
    expect(stderr).toContain('NOTE      --if-exists overwrite');
    expect(migration.destination.contents()).toEqual(migration.source.contents());
  });
});

describe('--if-exists head', () => {
  it('where the condition is honoured sends it too, so that there is no moment between', async () => {
    const migration = await givenNewer();
    migration.destination.script
      .on('PutObject', photo(0))
      .before(() => migration.destination.put(photo(0), CLIENTS));

    const { exitCode, stderr } = await migration.run({ 'if-exists': 'head' });

    expect(exitCode).toBe(0);
    expect(stderr).not.toContain('NOTE');
    expect(migration.destination.contents()[photo(0)]).toBe(CLIENTS);
  });
});

it.each(['', 'ask'])('--if-exists "%s" is refused', async (how) => {
  const migration = await givenNewer();
  const { exitCode, stderr } = await migration.run({ 'if-exists': how });
  expect(exitCode).toBe(2);
  expect(stderr).toContain('--if-exists');
});

describe('a key that the destination keeps under another name', () => {
  it('fails with that reason, and the object it would have been taken for is untouched', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    destination.script.leadingSlashAlias();
    source.put('/lead', 'with a slash');
    source.put('lead', 'without one');
    await migration.listKeys();

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(1);
    expect(stderr).toContain('1 key-not-kept (destination)');
    expect(destination.contents()).toEqual({ lead: 'without one' });
    expect(keysIn(await migration.failedLog())).toEqual(['/lead']);
  });
});

describe('Ctrl-C while it probes', () => {
  it('ends the run, and leaves nothing of the probe behind', async () => {
    const migration = await givenNewer();
    const { script, bucket } = migration.destination;
    const running = migration.start();
    script
      .seeProbe()
      .on('PutObject')
      .before(() => running.kill('SIGINT'))
      .times(1);

    expect(await running.ended).toMatchObject({ exitCode: 130 });

    expect(bucket.keys()).toEqual([photo(1)]);
    expect(bucket.uploads()).toEqual([]);
    script.clear();
    expect(await migration.run()).toMatchObject({ exitCode: 0 });
  });
});
