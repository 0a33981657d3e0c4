/**
 * P9: a million keys behind one object that does not come to its end, in little memory: what is done waits on disk,
 * and when that is full the run waits too, and says for which key.
 */
import { expect, test } from 'vitest';
import { gate, type Migration, prepareMigration } from '../cli/migration.ts';
import { commandLine, startCommand } from '../support/run-s3migrate.ts';
import { needs } from '../support/system-faults.ts';
import { Invariants } from './invariants.ts';

const HEAD = 'album/000-stuck';
/** As the row has it; Node ends itself where the heap would need more. */
const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=256' };

/** A list of so many keys, of which every nth has to be copied, and one before all of them. */
async function givenKeys(
  count: number,
  every: number,
): Promise<{ migration: Migration; toCopy: string[] }> {
  const migration = await prepareMigration();
  const keys = Array.from({ length: count }, (_, i) => `album/${String(i).padStart(7, '0')}`);
  const toCopy = [HEAD, ...keys.filter((_, i) => i % every === every - 1)].toSorted();
  for (const key of toCopy) migration.source.put(key, `bytes of ${key}`);
  await migration.listKeys('src', [HEAD, ...keys].toSorted());
  await migration.listKeys(
    'dest',
    keys.filter((_, i) => i % every !== every - 1),
  );
  return { migration, toCopy };
}

test('P9: a million keys behind a stuck object fit into 256 MB of heap', async () => {
  const { migration, toCopy } = await givenKeys(1_000_000, 1000);
  const invariants = new Invariants(migration);
  const { opened, open } = gate();
  const { script } = migration.source;
  script.on('GetObject', HEAD).before(() => opened);
  const program = migration.start({}, { env: SMALL_HEAP });
  // All others are begun, and all but those under way on disk, while the first is not done.
  await program.reaches(script.seen('GetObject', toCopy.length));
  open();
  const { exitCode, stderr } = await program.ended;
  expect(stderr).toContain('obj 1,000,001 = ');
  expect(exitCode).toBe(0);
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key }) => key)).toEqual(toCopy);
});

/** Whether the line has named the key and shown the same figures several times. */
function standsStill(printed: string): boolean {
  const lines = printed.split('obj=').slice(-5);
  const counts = new Set(lines.map((line) => /^\d+/.exec(line)?.[0]));
  return (
    lines.length === 5 &&
    counts.size === 1 &&
    lines.every((line) => line.includes(`waiting for ${HEAD}`))
  );
}

test('P9: where the disk for what is done is full the run waits for the object and names it', async () => {
  needs('script');
  const { migration, toCopy } = await givenKeys(200_000, 100);
  const invariants = new Invariants(migration);
  const { opened, open } = gate();
  const { script } = migration.source;
  script.on('GetObject', HEAD).before(() => opened);
  const args = migration.args({ 'ahead-disk': '128KiB', cores: 1 });
  const words = commandLine(args, 's3migrate').map((word) => `'${word}'`);
  const env = { TERM: 'xterm', ...SMALL_HEAP };
  const inside = `stty cols 250 rows 24; exec ${words.join(' ')}`;
  const program = startCommand(['script', '-qec', inside, '/dev/null'], { env });
  await program.until('stdout', standsStill);
  expect(script.count('GetObject')).toBeLessThan(toCopy.length);
  open();
  expect(await program.ended).toMatchObject({ exitCode: 0 });
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key }) => key)).toEqual(toCopy);
});
