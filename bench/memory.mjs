/**
 * Peak memory of the whole process, with 64 transfers at once on one core, beside the bound it must keep.
 *
 *   npm run build && node bench/memory.mjs [--quick | --full]
 *
 * Objects of 4 KiB, of 64 MiB, and one of 8 GiB in parts; then 50,000 and 5,000,000 keys, which must come
 * out alike. Both times 50,000 objects of 1 KiB are copied: of the 5,000,000 keys the destination's
 * list has all others. With `--full` all 5,000,000 are copied. With `--quick` it is 500,000 keys,
 * 50,000 of them copied, and one object of 2 GiB.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuseUsage, runBench } from './command-line.mjs';
import { CAN_PIN, measuredRun } from './measured-run.mjs';
import { requireCopied, startNullServers } from './null-servers.mjs';
import { SyntheticObjects } from './synthetic-objects.mjs';
import { oursCommand, toolEnvironment } from './tools.mjs';

const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const BOUND_MIB = 200;
const COPIED_OF_MANY = 50_000;

await runBench(
  {
    usage: '[--quick | --full]',
    options: { quick: { type: 'boolean' }, full: { type: 'boolean' } },
  },
  async ({ values: { quick, full }, positionals }) => {
    if (positionals.length > 0) refuseUsage(`there is no argument ${positionals[0]}`);
    if (quick && full) refuseUsage('--quick and --full exclude each other');
    if (!CAN_PIN) console.log('NOT PINNED: no taskset or one core only');
    let above = 0;
    for (const load of loadsOf({ quick, full })) {
      const peakMib = await peakOf(load);
      if (peakMib > BOUND_MIB) above++;
      console.log(
        `${load.name.padEnd(60)}${peakMib.toFixed(0).padStart(5)} MiB, ` +
          `${peakMib > BOUND_MIB ? 'ABOVE' : 'within'} the bound of ${BOUND_MIB}`,
      );
    }
    if (above > 0) throw new Error(`${above} above the bound`);
  },
);

/** `copied`: how many of the keys, evenly spread; the destination's list names the others. */
function loadsOf({ quick, full }) {
  const long = quick ? 2 : 8;
  const many = quick ? 500_000 : 5_000_000;
  const copiedOfMany = full ? many : COPIED_OF_MANY;
  return [
    { name: '20,000 x 4 KiB', count: 20_000, sizeBytes: 4 * KIB },
    { name: '80 x 64 MiB', count: 80, sizeBytes: 64 * MIB },
    { name: `1 x ${long} GiB, in parts`, count: 1, sizeBytes: long * GIB },
    {
      name: `${thousands(COPIED_OF_MANY)} keys, all copied`,
      count: COPIED_OF_MANY,
      sizeBytes: KIB,
    },
    {
      name: `${thousands(many)} keys, ${thousands(copiedOfMany)} of them copied`,
      count: many,
      copied: copiedOfMany,
      sizeBytes: KIB,
    },
  ];
}

function thousands(number) {
  return number.toLocaleString('en');
}

async function peakOf({ count, sizeBytes, copied = count }) {
  const objects = new SyntheticObjects({ count, sizeBytes });
  const folder = mkdtempSync(join(tmpdir(), 's3migrate-bench-'));
  const servers = await startNullServers({ count, sizeBytes, cores: 0 });
  try {
    const there = (i) => i % (count / copied) !== 0;
    const command = oursCommand(servers, {
      folder,
      objects,
      there,
      flags: ['--threads', '64'],
    });
    const { peakMib } = await measuredRun(command, {
      folder,
      cores: 1,
      env: toolEnvironment(servers),
    });
    requireCopied(await servers.counts(), copied);
    return peakMib;
  } finally {
    servers.stop();
    rmSync(folder, { recursive: true });
  }
}
