/**
 * s3migrate and public tools over the same two null S3 servers: the servers on one core, each tool in
 * turn on another.
 *
 *   npm run build && [S3_TOOLS=FOLDER] node bench/throughput.mjs LOAD [TOOL ...] [--tls]
 *
 * LOAD is one of small, medium, large, parts, mixed; TOOL of ours, rclone, rclone-unchecked, mc, s3sync,
 * s3sync-unchecked. A tool that is neither in S3_TOOLS nor on PATH is left out, which is said. A line for
 * each has its rates, what it cost, and the ratio of each to s3migrate's.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from './certificate.mjs';
import { refuseUsage, runBench } from './command-line.mjs';
import { CAN_PIN, measuredRun } from './measured-run.mjs';
import { requireCopied, startNullServers } from './null-servers.mjs';
import { SyntheticObjects } from './synthetic-objects.mjs';
import { acceptedCodes, TOOL_NAMES, toolCommand, toolEnvironment } from './tools.mjs';

const KIB = 1024;
const MIB = 1024 ** 2;
/**
 * Bodies are hashed only where the servers would not become the bound. `flags` are for s3migrate; other
 * tools cut objects into parts as they do by default.
 */
const LOADS = {
  small: { count: 20_000, sizeBytes: 4 * KIB, hash: true, flags: [] },
  medium: { count: 4_000, sizeBytes: MIB, hash: false, flags: [] },
  large: { count: 8, sizeBytes: 512 * MIB, hash: false, flags: [] },
  parts: { count: 8, sizeBytes: 512 * MIB, hash: false, flags: ['--multipart-threshold', '64MiB'] },
  mixed: { count: 400, sizeBytes: 'mixed', hash: false, flags: [] },
};
const DEFAULT_TOOLS = ['ours', 'rclone', 'mc', 's3sync', 's3sync-unchecked'];
const LIMIT_SECONDS = 120;

await runBench(
  { usage: 'LOAD [TOOL ...] [--tls]', options: { tls: { type: 'boolean', default: false } } },
  async ({ values, positionals }) => {
    const [loadName, ...asked] = positionals;
    if (!Object.hasOwn(LOADS, loadName ?? '')) {
      refuseUsage(`LOAD must be one of ${Object.keys(LOADS).join(', ')}`);
    }
    const unknown = asked.find((tool) => !TOOL_NAMES.includes(tool));
    if (unknown !== undefined) refuseUsage(`there is no tool ${unknown}`);
    const tools = asked.length > 0 ? asked : DEFAULT_TOOLS;
    await compare({ name: loadName, ...LOADS[loadName], tls: values.tls }, tools);
  },
);

async function compare(load, tools) {
  const objects = new SyntheticObjects(load);
  const folder = mkdtempSync(join(tmpdir(), 's3migrate-bench-'));
  const servers = await startNullServers({
    ...load,
    certificate: load.tls ? makeCertificate(folder) : undefined,
    cores: 0,
  });
  try {
    const gigabytes = objects.totalBytes() / 1e9;
    console.log(
      `${load.name}${load.tls ? ' over TLS' : ''}: ${load.count} objects, ${gigabytes.toFixed(2)} GB; ` +
        `bodies ${load.hash ? '' : 'not '}hashed by the servers; ` +
        (CAN_PIN
          ? 'servers on core 0, tools on core 1'
          : 'NOT PINNED: no taskset or one core only'),
    );
    let ours;
    for (const tool of tools) {
      const command = toolCommand(tool, servers, { folder, objects, flags: load.flags });
      if (command === undefined) {
        console.log(`${tool.padEnd(16)} left out: not in S3_TOOLS nor on PATH`);
        continue;
      }
      await servers.reset();
      const cost = await measuredRun(command, {
        folder,
        cores: 1,
        env: toolEnvironment(servers),
        accepted: acceptedCodes(tool),
        limitSeconds: LIMIT_SECONDS,
      });
      const counts = await servers.counts();
      requireCopied(counts, load.count);
      const serversSeconds = counts.source.cpuSeconds + counts.destination.cpuSeconds;
      if (tool === 'ours') ours = cost;
      const copied = { count: load.count, gigabytes, serversSeconds };
      console.log(line(tool, cost, copied) + ratios(cost, ours));
    }
  } finally {
    servers.stop();
    rmSync(folder, { recursive: true });
  }
}

function line(tool, { wallSeconds, cpuSeconds, peakMib }, { count, gigabytes, serversSeconds }) {
  const columns = [
    [count / wallSeconds, count / wallSeconds < 100 ? 1 : 0, 'obj/s'],
    [(gigabytes * 1000) / wallSeconds, 0, 'MB/s'],
    [(cpuSeconds / count) * 1e6, 0, 'us cpu/obj'],
    [cpuSeconds / gigabytes, 2, 's cpu/GB'],
    [peakMib, 0, 'MiB peak'],
    [wallSeconds, 1, 's'],
    // Near 100 % they are what was measured in the rates, not the tool.
    [(serversSeconds / wallSeconds) * 100, 0, '% servers busy'],
  ];
  return (
    tool.padEnd(16) +
    columns.map(([value, digits, unit]) => `${value.toFixed(digits).padStart(8)} ${unit}`).join('')
  );
}

/** How many times ours each is; empty until ours is known. */
function ratios(cost, ours) {
  if (ours === undefined) return '';
  const rate = ours.wallSeconds / cost.wallSeconds;
  const cpu = cost.cpuSeconds / ours.cpuSeconds;
  const peak = cost.peakMib / ours.peakMib;
  return ` | to ours: rate ${rate.toFixed(2)}, cpu ${cpu.toFixed(2)}, peak ${peak.toFixed(2)}`;
}
