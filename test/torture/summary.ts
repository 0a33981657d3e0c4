/**
 * Around all torture runs: names the seed before the first, and tells after the last what they came to.
 */
import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { Tally } from './tally.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of the first run. */
    tortureSeed: number;
    /** Folder for the tally of each file. */
    tortureTallies: string;
  }
}

const SEEDS = 1_000_000_000;

/** @returns what is to be done after the last test */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const seed = Number(process.env['S3MIGRATE_TORTURE_SEED'] ?? randomInt(SEEDS));
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-tallies-'));
  project.provide('tortureSeed', seed);
  project.provide('tortureTallies', folder);
  console.log(`torture: seed ${seed}`);
  return async () => {
    const tally = new Tally();
    for (const name of await readdir(folder)) {
      tally.add(JSON.parse(await readFile(join(folder, name), 'utf8')));
    }
    await rm(folder, { recursive: true });
    if (tally.numbers.runs > 0) console.log(`torture: seed ${seed}\n${tally.summary()}`);
  };
}
