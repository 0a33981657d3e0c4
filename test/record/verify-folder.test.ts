/**
 * The log folder of a verification: whatever ends it, the log is that of a single run in the end.
 */
import { appendFile, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { keysVerified, NOTHING_VERIFIED, type VerifiedPage } from '../../src/findings.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { openVerifyFolder, type VerifyFolder } from '../../src/record/verify-folder.ts';

const KEYS = Array.from({ length: 40 }, (_, i) => `key-${String(i).padStart(2, '0')}` as ObjectKey);
const IDENTITY = { 'src-bucket': 'photos' };

let root: string;
let folders = 0;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 's3migrate-verify-'));
  onTestFinished(() => rm(root, { recursive: true }));
});

function newFolder(): string {
  return join(root, `folder-${folders++}`);
}

function open(folder: string, now: () => number = () => 0): Promise<VerifyFolder> {
  return openVerifyFolder({ folder, identity: IDENTITY, toolVersion: '1', now });
}

/** Every third key differs. */
function pageOf(keys: readonly ObjectKey[]): VerifiedPage {
  const found = keys
    .filter((key) => KEYS.indexOf(key) % 3 === 0)
    .map((key) => ({
      key,
      findings: [{ symbol: '*', what: 'size', source: '1', destination: '2' } as const],
    }));
  return {
    last: keys.at(-1) as ObjectKey,
    found,
    totals: { ...NOTHING_VERIFIED, differ: found.length, same: keys.length - found.length },
  };
}

const WHOLE = `key,symbol,what,source,destination\n${KEYS.filter((_, i) => i % 3 === 0)
  .map((key) => `${key},*,size,1,2\n`)
  .join('')}`;

it('is the same after a kill at any moment, torn line and all', async () => {
  const start = fc.record({
    pageKeys: fc.integer({ min: 1, max: 9 }),
    pages: fc.nat(6),
    /** ms between two pages: some are behind a position recorded, some are not. */
    msAPage: fc.constantFrom(0, 400, 1000),
    torn: fc.constantFrom('', 'key-9', '\0\0\0', 'key-99,*,size,1,2\n'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(start, { maxLength: 4 }), async (starts) => {
      let path = newFolder();
      let nowMs = 0;
      for (const { pageKeys, pages, msAPage, torn } of starts) {
        const folder = await open(path, () => nowMs);
        let left = KEYS.filter((key) => key > folder.start);
        for (let page = 0; page < pages && left.length > 0; page++) {
          nowMs += msAPage;
          await folder.write(pageOf(left.slice(0, pageKeys)));
          left = left.slice(pageKeys);
        }
        const killed = newFolder();
        await cp(path, killed, { recursive: true, filter: (name) => !name.includes('.lock') });
        await appendFile(join(killed, 'verify.log'), torn);
        await folder.close({ complete: false });
        path = killed;
      }
      const folder = await open(path);
      const rest = KEYS.filter((key) => key > folder.start);
      if (rest.length > 0) await folder.write(pageOf(rest));
      await folder.close({ complete: true });
      expect(await readFile(join(path, 'verify.log'), 'latin1')).toBe(WHOLE);
      expect(keysVerified(folder.totals)).toBe(KEYS.length);
      expect(folder.totals.differ).toBe(14);
    }),
    { numRuns: 40 },
  );
});

it('takes nothing more when it is complete, and tells its totals', async () => {
  const path = newFolder();
  const first = await open(path);
  await first.write(pageOf(KEYS));
  await first.close({ complete: true });
  const again = await open(path);
  await again.close({ complete: true });
  expect(again.state).toBe('complete');
  expect(again.totals).toMatchObject({ differ: 14, same: 26 });
  expect(await readFile(join(path, 'verify.log'), 'latin1')).toBe(WHOLE);
});

it('quotes what needs it and cuts what is too long', async () => {
  const path = newFolder();
  const folder = await open(path);
  const finding = {
    symbol: '!',
    what: 'a, b',
    source: 'x\n',
    destination: 'y'.repeat(9000),
  } as const;
  await folder.write({
    last: KEYS[0] as ObjectKey,
    found: [{ key: KEYS[0] as ObjectKey, findings: [finding] }],
    totals: { ...NOTHING_VERIFIED, error: 1 },
  });
  await folder.close({ complete: true });
  const [, line] = (await readFile(join(path, 'verify.log'), 'latin1')).split('\n');
  expect(line).toBe(`key-00,!,"a, b",x\\n,${'y'.repeat(4000)}`);
});

it('is locked while it is open, and its files are nobody else’s to read', async () => {
  const path = newFolder();
  const folder = await open(path);
  await expect(open(path)).rejects.toThrow('another s3migrate works with this folder');
  await folder.close({ complete: false });
  for (const name of ['verify.log', 'verify.run.json']) {
    expect((await stat(join(path, name))).mode & 0o777).toBe(0o600);
  }
});

it('refuses the folder of another verification, a stray log and a state it cannot read', async () => {
  const other = newFolder();
  await (await open(other)).close({ complete: false });
  const identity = { 'src-bucket': 'films' };
  await expect(
    openVerifyFolder({ folder: other, identity, toolVersion: '1', now: () => 0 }),
  ).rejects.toThrow('src-bucket was "photos" and is "films"');

  await rm(join(other, 'verify.run.json'));
  await expect(open(other)).rejects.toThrow('is a log of another run');

  await writeFile(join(other, 'verify.run.json'), '{"format":2}');
  await expect(open(other)).rejects.toThrow('its format is 2, this program reads 1');
});
