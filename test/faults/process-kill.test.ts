/**
 * P1: SIGKILL in the middle of an exchange, again and again on the same folder. The logs say the truth after each,
 * and in the end the destination is what one run without a fault would have made of it.
 *
 * The random moments are those of `npm run torture`; here they are chosen.
 */
import { expect, test } from 'vitest';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { Invariants } from './invariants.ts';
import { givenSeveralPages } from './several-pages.ts';

const FLAGS = { threads: 4, cores: 1 };
/** Of the keys to be copied, those of one page. */
const PAGE = 80;
const MIB = 1024 ** 2;

interface Exchange {
  readonly side: 'source' | 'destination';
  readonly operation: 'GetObject' | 'PutObject' | 'UploadPart' | 'CompleteMultipartUpload';
  /** Which of the run, from 1. */
  readonly nth: number;
  /** What has become of the request when the program dies. */
  readonly fate: 'lost' | 'carried out';
}

/** Runs the command, which dies in this exchange. */
async function killIn(
  migration: Migration,
  { side, operation, nth, fate }: Exchange,
  flags = FLAGS,
): Promise<void> {
  const kill = (): void => program.kill('SIGKILL');
  const rule = migration[side].script
    .on(operation)
    .skip(nth - 1)
    .times(1);
  if (fate === 'lost') rule.before(kill).disconnect();
  else rule.after(kill);
  const program = migration.start(flags);
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
}

test.each<Omit<Exchange, 'nth'>>([
  { side: 'source', operation: 'GetObject', fate: 'lost' },
  { side: 'source', operation: 'GetObject', fate: 'carried out' },
  { side: 'destination', operation: 'PutObject', fate: 'lost' },
  { side: 'destination', operation: 'PutObject', fate: 'carried out' },
])(
  'P1: killed in $operation ($fate), seven times, at most a page is sent again for each',
  async (exchange) => {
    const pages = await givenSeveralPages();
    const { migration, invariants, toCopy } = pages;
    const nths = [1, 2, 90, 30, 81, 3, 60];
    for (const nth of nths) {
      await killIn(migration, { ...exchange, nth });
      await invariants.expectSound();
    }
    await pages.expectContinues(FLAGS);
    const sent = migration.destination.script.count('PutObject');
    expect(sent).toBeLessThan(toCopy.length + nths.length * (PAGE + FLAGS.threads));
  },
);

test('P1: killed in the probe, again and again, the next start removes what it wrote', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  const invariants = new Invariants(migration);
  const { script, bucket } = migration.destination;
  script.seeProbe();
  for (const nth of [1, 10, 40]) {
    const rule = script
      .on('PUT')
      .skip(nth - 1)
      .times(1);
    rule.after(() => program.kill('SIGKILL'));
    const program = migration.start();
    expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
    expect(bucket.keys()).not.toEqual([]);
    await invariants.expectSound();
  }
  expect(await migration.run()).toMatchObject({ exitCode: 0 });
  await invariants.expectComplete();
  expect(bucket.uploads()).toEqual([]);
});

test.each(['byte\xff', 'control\x01\t\n\r\x1f\x7f.'])(
  'P1: killed when the probe has written %j, which no listing of this store names, the next start removes it',
  async (name) => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    const { script, bucket } = migration.destination;
    script.seeProbe();
    script.on('ListObjectsV2').alter((answer) => {
      const xml = answer.body.toString('latin1').replaceAll(/%(?:FF|0[19AD]|1F|7F)/g, '%EF%BF%BD');
      return { ...answer, body: Buffer.from(xml, 'latin1') };
    });
    script
      .on('PutObject')
      .where(({ key }) => key.endsWith(name))
      .times(1)
      .after(() => program.kill('SIGKILL'));
    const program = migration.start();
    expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
    expect(bucket.keys().filter((key) => key.endsWith(name))).toHaveLength(1);
    expect(await migration.run()).toMatchObject({ exitCode: 0 });
    await new Invariants(migration).expectComplete();
  },
);

test.each([
  { side: 'source', operation: 'GetObject', nth: 2 },
  { side: 'destination', operation: 'UploadPart', nth: 2 },
  { side: 'destination', operation: 'CompleteMultipartUpload', nth: 1 },
] as const)(
  'P1: killed inside a large object ($operation), it is whole or not there',
  async (exchange) => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const body = Buffer.alloc(13 * MIB, 'frame');
    for (const key of ['film-1', 'film-2']) source.put(key, body, { partBytes: 5 * MIB });
    await migration.listKeys();
    const invariants = new Invariants(migration);
    for (const fate of ['lost', 'carried out'] as const) {
      await killIn(migration, { ...exchange, fate }, { threads: 1, cores: 1 });
      await invariants.expectSound();
    }
    expect(await migration.run()).toMatchObject({ exitCode: 0 });
    const { migrate } = await invariants.expectComplete();
    expect(migrate.map(({ key }) => key)).toEqual(['film-1', 'film-2']);
    expect(destination.bucket.keys()).toEqual(['film-1', 'film-2']);
  },
);
