/**
 * Runs one program to its end and says what it cost: processor time of all its threads, peak memory,
 * time on the clock.
 *
 * Processor time is bash's `time`, which asks the kernel when the program has ended. Peak memory is
 * VmHWM of /proc, looked at until then; it only grows, so what a last look can miss is little.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';

const LOOK_EVERY_MS = 20;
/** Prints the program's id, and at the end its user and system seconds. What it says goes to the file. */
const SCRIPT =
  'TIMEFORMAT="%3U %3S"; log=$1; shift; { time { "$@" >"$log" 2>&1 & echo "$!"; wait "$!"; }; } 2>&1';
const LAST_WORDS = 600;

/** Whether servers and client can have a core each. */
export const CAN_PIN = cpus().length > 1 && spawnSync('taskset', ['-V']).status === 0;

/** The command, kept to these cores (as taskset writes them) where that is possible. */
export function pinned(cores, command) {
  return CAN_PIN && cores !== undefined ? ['taskset', '-c', String(cores), ...command] : command;
}

/**
 * @param folder for what the program says
 * @param cores it is kept to; undefined for any
 * @param accepted exit codes that mean success
 * @throws when it ends with another code, or takes longer than the limit: with its last words
 */
export async function measuredRun(
  command,
  { folder, cores, env = process.env, accepted = [0], limitSeconds = 600 },
) {
  const log = join(folder, 'said.txt');
  const begin = performance.now();
  const shell = spawn('bash', ['-c', SCRIPT, 'bash', log, ...pinned(cores, command)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  let pid;
  let peakKib = 0;
  shell.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    pid ??= output.includes('\n') ? Number.parseInt(output, 10) : undefined;
  });
  const looking = setInterval(() => {
    peakKib = Math.max(peakKib, peakKibOf(pid));
  }, LOOK_EVERY_MS);
  const limit = setTimeout(() => process.kill(pid, 'SIGKILL'), limitSeconds * 1000);
  const code = await new Promise((resolve, reject) => {
    shell.on('error', reject);
    shell.on('close', resolve);
  });
  clearInterval(looking);
  clearTimeout(limit);
  const wallSeconds = (performance.now() - begin) / 1000;
  if (!accepted.includes(code)) {
    const words = readFileSync(log, 'utf8').slice(-LAST_WORDS).trim();
    const name = basename(command.find((word) => !word.endsWith('node')));
    throw new Error(`${name} ended with ${code} after ${wallSeconds.toFixed(1)} s: ${words}`);
  }
  const [user, system] = output.trim().split('\n').at(-1).split(' ').map(Number);
  return { wallSeconds, cpuSeconds: user + system, peakMib: peakKib / 1024 };
}

function peakKibOf(pid) {
  try {
    return Number(
      /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0,
    );
  } catch {
    // Not begun, or ended.
    return 0;
  }
}
