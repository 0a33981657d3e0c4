/**
 * The processes of s3migrate in bench/soak.mjs: killed, begun again by the same command, and their memory
 * looked at once a second.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { OURS, toolEnvironment } from './tools.mjs';

const LOOK_EVERY_MS = 1000;
/** Seconds until a process is killed. */
const UNTIL_KILL = [0.2, 10];
/** It finishes what is under way, which may stand still for half a minute, several times. */
const LEAVE_MS = 120_000;
/** Nothing takes as long, however often the servers are down. */
const LIMIT_MS = 15 * 60_000;
const CANNOT_GO_ON = 3;
const MAX_STOPS = 30;
const SIGTERM_CODE = 143;
const LAST_WORDS = 600;
const STOP_WORDS = 300;

/** s3migrate did what it must not: the message says what. */
export class Misbehaviour extends Error {}

export class Runs {
  /** Each: when (ms since the epoch), whose (process id), KiB resident. */
  samples = [];
  counts = { starts: 0, SIGKILL: 0, SIGTERM: 0, stopped: 0 };
  #random;
  #children = new Set();
  #looking = setInterval(() => this.#look(), LOOK_EVERY_MS);

  constructor(random) {
    this.#random = random;
  }

  /** Kills what still runs. */
  end() {
    clearInterval(this.#looking);
    for (const child of this.#children) child.kill('SIGKILL');
  }

  /**
   * Gives the command until it ends by itself.
   *
   * @param log file to which all of them say what they say
   * @param kills so many of the processes are killed
   * @returns 0 or 1
   * @throws Misbehaviour when it ends in any other way, or does not
   */
  async untilDone(words, { log, kills }) {
    for (let stops = 0; stops < MAX_STOPS; ) {
      const { code, signal, wasKilled } = await this.#once(words, {
        log,
        isToBeKilled: kills-- > 0,
      });
      if (code === 0 || code === 1) return code;
      if (wasKilled && (signal !== null || code === SIGTERM_CODE)) continue;
      if (code !== CANNOT_GO_ON) {
        throw new Misbehaviour(`s3migrate ended with ${code ?? signal}: ${lastWords(log)}`);
      }
      this.counts.stopped++;
      console.log(`  stopped with 3: ${lastWords(log, STOP_WORDS)}`);
      stops++;
      await sleep(1000);
    }
    throw new Misbehaviour(`s3migrate stopped ${MAX_STOPS} times with 3: ${lastWords(log)}`);
  }

  async #once(words, { log, isToBeKilled }) {
    const said = openSync(log, 'a');
    const child = spawn(process.execPath, [OURS, ...words], {
      env: toolEnvironment({}),
      stdio: ['ignore', said, said],
    });
    closeSync(said);
    this.counts.starts++;
    this.#children.add(child);
    let wasKilled = false;
    const timers = [];
    const later = (ms, act) => timers.push(setTimeout(() => act(), ms));
    if (isToBeKilled) {
      const signal = this.#random.chance(0.6) ? 'SIGKILL' : 'SIGTERM';
      later(this.#random.between(...UNTIL_KILL) * 1000, () => {
        wasKilled = child.kill(signal);
        this.counts[signal]++;
        later(LEAVE_MS, () => child.kill('SIGABRT'));
      });
    }
    later(LIMIT_MS, () => child.kill('SIGABRT'));
    const [code, signal] = await new Promise((resolve, reject) => {
      child.on('error', reject).on('exit', (...ended) => resolve(ended));
    });
    for (const timer of timers) clearTimeout(timer);
    this.#children.delete(child);
    if (signal === 'SIGABRT') {
      throw new Misbehaviour(
        `s3migrate did not end${wasKilled ? ' at SIGTERM' : ''}: ${lastWords(log)}`,
      );
    }
    return { code, signal, wasKilled };
  }

  #look() {
    for (const { pid } of this.#children) {
      const kib = residentKib(pid);
      if (kib > 0) this.samples.push({ at: Date.now(), pid, kib });
    }
  }
}

function residentKib(pid) {
  try {
    return Number(
      /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0,
    );
  } catch {
    // Not begun, or ended.
    return 0;
  }
}

function lastWords(log, length = LAST_WORDS) {
  return readFileSync(log, 'utf8').slice(-length).trim().replaceAll('\n', ' | ');
}
