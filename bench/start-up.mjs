/**
 * From spawn to exit: what s3migrate takes before and after its work, beside other programs that do
 * nothing.
 *
 *   npm run build && [S3_TOOLS=FOLDER] node bench/start-up.mjs [ROUNDS]
 *
 * All run in turn in each round, on one core, the servers of the migrations on another. Prints medians, and
 * their ratios to `node -e 0`: what Node itself takes.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuseUsage, runBench } from './command-line.mjs';
import { CAN_PIN, pinned } from './measured-run.mjs';
import { requireCopied, startNullServers } from './null-servers.mjs';
import { SyntheticObjects } from './synthetic-objects.mjs';
import { OURS, oursCommand, programPath, toolEnvironment } from './tools.mjs';

const DEFAULT_ROUNDS = 11;
const DRY_RUN_KEYS = 1_000;
const BASE = 'node -e 0';

await runBench({ usage: '[ROUNDS]' }, async ({ positionals }) => {
  const rounds = Number(positionals[0] ?? DEFAULT_ROUNDS);
  if (positionals.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
    refuseUsage('ROUNDS must be one whole number from 1');
  }
  const folder = mkdtempSync(join(tmpdir(), 's3migrate-bench-'));
  const servers = await startNullServers({ count: DRY_RUN_KEYS, sizeBytes: 4096, cores: 0 });
  try {
    if (!CAN_PIN) console.log('NOT PINNED: no taskset or one core only');
    const programs = programsOf(servers, folder);
    const times = new Map(programs.map(({ name }) => [name, []]));
    // The first round only fills the caches.
    for (let round = 0; round <= rounds; round++) {
      for (const { name, command } of programs) {
        const ms = await spawnToExitMs(command(), toolEnvironment(servers));
        if (round > 0) times.get(name).push(ms);
      }
    }
    requireCopied(await servers.counts(), 0);
    const base = median(times.get(BASE));
    for (const [name, all] of times) {
      const ms = median(all);
      console.log(
        `${name.padEnd(34)}${ms.toFixed(0).padStart(6)} ms, ${(ms / base).toFixed(2)} of ${BASE}`,
      );
    }
  } finally {
    servers.stop();
    rmSync(folder, { recursive: true });
  }
});

/** `command` is called before each start: a run's log folder must be new. */
function programsOf(servers, folder) {
  const ours = (count, { there = () => false, flags = [] }) => {
    const objects = new SyntheticObjects({ count, sizeBytes: 4096 });
    const own = join(folder, String(count));
    return () => oursCommand(servers, { folder: own, objects, there, flags });
  };
  return [
    { name: BASE, command: () => [process.execPath, '-e', '0'] },
    { name: 's3migrate --version', command: () => [process.execPath, OURS, '--version'] },
    { name: 's3migrate, nothing to copy', command: ours(1, { there: () => true }) },
    {
      name: 's3migrate --dry-run, 1,000 keys',
      command: ours(DRY_RUN_KEYS, { flags: ['--dry-run'] }),
    },
    ...publicTool('rclone', 'version'),
    ...publicTool('mc', '--version'),
    ...publicTool('s3sync', '--version'),
  ];
}

function publicTool(name, word) {
  const path = programPath(name);
  if (path !== undefined) return [{ name: `${name} ${word}`, command: () => [path, word] }];
  console.log(`${name} left out: not in S3_TOOLS nor on PATH`);
  return [];
}

function spawnToExitMs(command, env) {
  const [program, ...args] = pinned(1, command);
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(program, args, { env, stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve(performance.now() - begin);
      else reject(new Error(`${command.slice(0, 3).join(' ')} ended with ${code}`));
    });
  });
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
