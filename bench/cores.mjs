/**
 * What more cores bring: the same load with `--cores 1`, `--cores 2`, and so on to all there are.
 *
 *   npm run build && node bench/cores.mjs [small | medium]
 *
 * Servers and client have cores of their own only where there are four or more: the servers the first
 * two. With fewer all share them, so that the rates say little: objects a second of processor time is the
 * figure, which falls by what the cores cost each other.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuseUsage, runBench } from './command-line.mjs';
import { measuredRun } from './measured-run.mjs';
import { requireCopied, startNullServers } from './null-servers.mjs';
import { SyntheticObjects } from './synthetic-objects.mjs';
import { oursCommand, toolEnvironment } from './tools.mjs';

const LOADS = {
  small: { count: 40_000, sizeBytes: 4096 },
  medium: { count: 4_000, sizeBytes: 1024 ** 2 },
};
const SERVER_CORES = 2;

await runBench(
  { usage: '[small | medium]' },
  async ({ positionals: [name = 'small', ...rest] }) => {
    if (!Object.hasOwn(LOADS, name) || rest.length > 0) {
      refuseUsage(`LOAD must be one of ${Object.keys(LOADS).join(', ')}`);
    }
    const load = LOADS[name];
    const objects = new SyntheticObjects(load);
    const folder = mkdtempSync(join(tmpdir(), 's3migrate-bench-'));
    const all = cpus().length;
    const apart = all >= 2 * SERVER_CORES;
    const servers = await startNullServers({
      ...load,
      cores: apart ? `0-${SERVER_CORES - 1}` : undefined,
    });
    try {
      const most = apart ? all - SERVER_CORES : all;
      console.log(
        `${name}: ${load.count} objects; ` +
          (apart ? 'servers on two cores of their own' : `servers and client share ${all} cores`),
      );
      let base;
      for (let cores = 1; cores <= most; cores++) {
        await servers.reset();
        const flags = ['--threads', '64', '--cores', String(cores)];
        const cost = await measuredRun(oursCommand(servers, { folder, objects, flags }), {
          folder,
          cores: apart ? `${SERVER_CORES}-${all - 1}` : undefined,
          env: toolEnvironment(servers),
        });
        requireCopied(await servers.counts(), load.count);
        const rate = load.count / cost.wallSeconds;
        const ratePerCpu = load.count / cost.cpuSeconds;
        base ??= { rate, ratePerCpu };
        console.log(
          `--cores ${cores}: ${rate.toFixed(0)} objects/s (${(rate / base.rate).toFixed(2)} of one core), ` +
            `${ratePerCpu.toFixed(0)} objects a CPU second (${(ratePerCpu / base.ratePerCpu).toFixed(2)}), ` +
            `${cost.peakMib.toFixed(0)} MiB`,
        );
      }
    } finally {
      servers.stop();
      rmSync(folder, { recursive: true });
    }
  },
);
