/**
 * How fast the plan is made: read, verify, shard and join of two plain lists, on one core.
 *
 *   npm run build && node bench/plan.mjs [MILLIONS_OF_KEYS ...]
 *
 * For every size (1, 5 and 10 million keys by default) two lists are written to a temporary folder:
 * the source's, and the destination's with every other key of it and as many others. A child process
 * pinned to one core (where taskset exists) plans them and reports rate and peak memory. Another one
 * reads both lists with node:readline and does nothing else: the ratio of the two holds on any machine.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { newCounters } from '../dist/domain.js';
import { openListFolder } from '../dist/lists/list-folder.js';
import { BEFORE_ALL } from '../dist/object-key.js';
import { plan } from '../dist/plan/plan.js';
import { createShard } from '../dist/plan/shard.js';
import { pinned } from './measured-run.mjs';

const KEYS_A_FILE = 100_000;
const HASH_COUNT = 4;
const SIDES = ['source', 'destination'];
const PLAN_CHILD = '--plan';
const READLINE_CHILD = '--readline';

const [mode, folder] = process.argv.slice(2);
if (mode === PLAN_CHILD) await measure(() => planned(folder));
else if (mode === READLINE_CHILD) await measure(() => linesRead(folder));
else await compareSizes(process.argv.slice(2).map(Number));

async function compareSizes(sizes) {
  for (const millions of sizes.length > 0 ? sizes : [1, 5, 10]) {
    const work = mkdtempSync(join(tmpdir(), 's3migrate-bench-plan-'));
    try {
      const keys = millions * 1e6;
      writeLists(work, keys);
      const ours = measuredInChild(PLAN_CHILD, work);
      const readline = measuredInChild(READLINE_CHILD, work);
      console.log(
        `${millions} M + ${millions} M keys: ${rate(keys / ours.seconds)} source keys/s, ` +
          `${rate((2 * keys) / ours.seconds)} keys/s of both lists, peak memory ${ours.peakMib} MiB, ` +
          `${(ours.seconds / readline.seconds).toFixed(1)} times as long as node:readline takes to read both; ` +
          ours.result,
      );
    } finally {
      rmSync(work, { recursive: true });
    }
  }
}

function rate(perSecond) {
  return `${(perSecond / 1e6).toFixed(2)} M`;
}

/** Key number n of the source is 2n, of the destination 2n for even n and 2n + 1 for odd ones. */
function writeLists(work, keys) {
  for (const side of SIDES) {
    mkdirSync(join(work, side));
    for (let start = 0; start < keys; start += KEYS_A_FILE) {
      const lines = [];
      for (let n = start; n < Math.min(start + KEYS_A_FILE, keys); n++) {
        const number = String(2 * n + (side === 'destination' ? n % 2 : 0)).padStart(8, '0');
        lines.push(`photos/2019/03/img-${number}.jpg\n`);
      }
      const name = String(start / KEYS_A_FILE).padStart(6, '0');
      const file = openSync(join(work, side, name), 'wx');
      writeSync(file, lines.join(''));
      closeSync(file);
    }
  }
}

function measuredInChild(childMode, work) {
  const command = [process.execPath, fileURLToPath(import.meta.url), childMode, work];
  const [program, ...args] = pinned(0, command);
  return JSON.parse(execFileSync(program, args, { encoding: 'utf8' }));
}

async function measure(work) {
  const start = performance.now();
  const result = await work();
  const seconds = (performance.now() - start) / 1e3;
  const peakMib = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(JSON.stringify({ seconds, peakMib, result }));
}

async function planned(work) {
  const [source, destination] = await Promise.all(
    SIDES.map((side) => openListFolder(join(work, side), { side })),
  );
  const counters = newCounters();
  const pages = plan({
    source: source.pages({ after: BEFORE_ALL }),
    destination: destination.pages({ after: BEFORE_ALL }),
    owns: await createShard({ count: HASH_COUNT, value: 0 }),
    after: BEFORE_ALL,
    doneRanges: [],
    counters,
  });
  let transfers = 0;
  for await (const page of pages) {
    for (const decision of page.decisions) if (decision === 2) transfers++;
  }
  return `${counters.ignored} ignored, ${counters.exists} exist, ${transfers} to transfer`;
}

async function linesRead(work) {
  let lines = 0;
  for (const side of SIDES) {
    for (const name of readdirSync(join(work, side))) {
      const input = createReadStream(join(work, side, name), 'latin1');
      await new Promise((resolve) => {
        createInterface({ input })
          .on('line', () => lines++)
          .on('close', resolve);
      });
    }
  }
  return `${lines} lines`;
}
