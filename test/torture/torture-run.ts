/**
 * One run of the torture: a scenario is carried out with the built program, which is ended at the drawn moments
 * and started again until it comes to its own end; after every start the invariants must hold, and in the end
 * the reference model.
 */
import { cp, mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { displayKey, type ObjectKey } from '../../src/object-key.ts';
import type { Flags } from '../cli/migration.ts';
import { readLogs } from '../faults/invariants.ts';
import type { Ended, RunningProgram } from '../support/run-s3migrate.ts';
import { compare } from './compare.ts';
import { ArmedEnding, type Ending, nameOf } from './ending.ts';
import { drawScenario, type PlannedStart, type Round, type Scenario } from './scenario.ts';
import type { Tally } from './tally.ts';
import { must, Violation } from './violation.ts';
import { World } from './world.ts';

/** A start that takes longer hangs. Most take less than a second; an object's attempts may take a minute. */
const HANGING_MS = 90_000;
/** Starts in which nothing goes wrong: one, and with `--first` some more. */
const MOST_CALM_STARTS = 5;

/**
 * Adds what it did to the tally.
 *
 * @throws Violation with the story of the run and where its folder is kept
 */
export async function torture(seed: number, tally: Tally): Promise<void> {
  const scenario = drawScenario(seed);
  const world = await World.prepare(scenario, tally);
  tally.numbers.runs++;
  try {
    await new TortureRun(scenario, world, tally).live();
  } catch (error) {
    throw await violation(error, scenario, world);
  }
}

class TortureRun {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #tally: Tally;
  readonly #complete = new Set<number>();

  constructor(scenario: Scenario, world: World, tally: Tally) {
    this.#scenario = scenario;
    this.#world = world;
    this.#tally = tally;
  }

  async live(): Promise<void> {
    const { rounds, hosts } = this.#scenario;
    for (const round of rounds) await this.#live(round);
    const allHosts = Array.from({ length: hosts }, (_, host) => host);
    for (const host of allHosts) await this.#end(host);
    const folders = allHosts.map((host) => this.#folder(host));
    // I3 knows nothing of keys that are not part of the run; the model does.
    if (this.#scenario.startAfter === undefined) {
      await this.#world.invariants.expectComplete(...folders);
    }
    await compare(this.#scenario, this.#world, folders, this.#tally);
    if (this.#scenario.startsAgain) {
      for (const host of allHosts) await this.#startComplete(host);
    }
    for (const host of allHosts) await this.#cleanUp(host);
    const left = this.#world.migration.destination.bucket.uploads();
    must(left.length === 0, () => `not even cleanup knows the upload of ${left[0]?.key}`);
  }

  async #live({ starts, faults }: Round): Promise<void> {
    const world = this.#world;
    const toStart = starts.filter(({ host }) => !this.#complete.has(host));
    world.calm();
    const armed = await Promise.all(
      toStart.map(async ({ ending, host }) =>
        ending === undefined
          ? undefined
          : ArmedEnding.arm(ending, world.migration, this.#folder(host)),
      ),
    );
    for (const fault of faults) world.script(fault);
    await Promise.all(toStart.map((start, index) => this.#start(start, armed[index])));
    for (const { host } of toStart) await world.invariants.expectSound(this.#folder(host));
  }

  /** Starts the host without faults until it has come to the end of its lists. */
  async #end(host: number): Promise<void> {
    this.#world.calm();
    for (let starts = 0; !this.#complete.has(host); starts++) {
      must(starts < MOST_CALM_STARTS, () => `host ${host} does not come to an end`);
      await this.#start({ host, ending: undefined, flags: {} }, undefined);
    }
  }

  /** It has nothing to do, and changes nothing. */
  async #startComplete(host: number): Promise<void> {
    const before = await readLogs(this.#folder(host));
    const { migration } = this.#world;
    const writes = migration.writesSeen();
    const { exitCode, stderr } = await migration.run(this.#flags(host));
    const failed = before.failed.length > 0;
    must(exitCode === (failed ? 1 : 0) && isCompleteAlready(stderr), () => `once more: ${stderr}`);
    const after = await readLogs(this.#folder(host));
    must(isDeepStrictEqual(before, after), () => `once more, host ${host} has changed its logs`);
    must(migration.writesSeen() === writes, () => `once more, host ${host} has written something`);
  }

  /** A start that was ended before it had an upload's id leaves the question whose it is. */
  async #cleanUp(host: number): Promise<void> {
    const folder = this.#folder(host);
    if (!(await isFile(join(folder, 'migrate.uploads')))) return;
    const flags = { 'log-folder': folder, abort: true, 'also-unnamed': true } as const;
    const { exitCode, stdout, stderr } = await this.#world.migration.cleanUp(flags);
    must(exitCode === 0, () => `cleanup ended with ${exitCode}: ${stdout}${stderr}`);
    this.#tally.numbers.cleanups++;
  }

  async #start(
    { host, ending, flags }: PlannedStart,
    armed: ArmedEnding | undefined,
  ): Promise<void> {
    const { numbers } = this.#tally;
    const world = this.#world;
    const resumes = await isFile(join(this.#folder(host), 'migrate.run.json'));
    numbers.starts++;
    if (resumes) numbers.resumes++;
    world.tell(
      `host ${host} starts${ending === undefined ? '' : `, to be ended: ${show(ending)}`}`,
    );
    const env = armed?.environment ?? {};
    const program = world.migration.start({ ...this.#flags(host), ...flags }, { env });
    armed?.started(program);
    const ended = await orHangs(program);
    armed?.disarm();
    const how = this.#judge(ended, ending);
    world.tell(`host ${host}: ${how}`);
    if (how === 'complete') this.#complete.add(host);
    if (how === 'ended' && ending !== undefined) {
      this.#tally.endings.add(nameOf(ending));
      if (ending.signals.length === 2 || ending.signals[0] === 'SIGKILL') world.noteBrokenOff();
    }
  }

  /** @throws Violation when it ended in no way that a start may end */
  #judge({ exitCode, signal, stderr }: Ended, ending: Ending | undefined): string {
    const accounted = stderr.includes('every listed key is accounted for');
    if (exitCode === 0 || exitCode === 1) {
      // The start before was ended after its last word in the log folder.
      if (isCompleteAlready(stderr)) return 'complete';
      must(accounted, () => `exit code ${exitCode}, but: ${stderr}`);
      if (stderr.includes('(--first)')) return 'first';
      must(stderr.includes('s3migrate: complete'), () => `exit code ${exitCode}, but: ${stderr}`);
      return 'complete';
    }
    const { signals = [] } = ending ?? {};
    // A signal that comes before the program listens to it ends it, as it does every program.
    const isEnded =
      signals.some((sent) => sent === signal) ||
      (signals.some((sent) => sent === 'SIGINT') && exitCode === 130) ||
      (signals.some((sent) => sent === 'SIGTERM') && exitCode === 143);
    must(isEnded, () => `ended by itself with ${exitCode ?? signal}: ${stderr}`);
    return 'ended';
  }

  #flags(host: number): Flags {
    const { flags, hosts, startAfter } = this.#scenario;
    return {
      ...flags,
      'log-folder': this.#folder(host),
      ...(hosts === 1 ? {} : { 'hash-count': hosts, 'hash-value': host }),
      ...(startAfter === undefined ? {} : { 'start-after': displayKey(startAfter as ObjectKey) }),
    };
  }

  #folder(host: number): string {
    return this.#world.migration.path(`logs-${host}`);
  }
}

function isCompleteAlready(stderr: string): boolean {
  return stderr.startsWith('s3migrate: this run is complete already');
}

async function orHangs(program: RunningProgram): Promise<Ended> {
  const hanging = new AbortController();
  const timer = setTimeout(() => {
    hanging.abort();
    program.kill('SIGKILL');
  }, HANGING_MS);
  const ended = await program.ended;
  clearTimeout(timer);
  must(!hanging.signal.aborted, () => `hung for ${HANGING_MS} ms: ${ended.stderr}`);
  return ended;
}

function show(ending: Ending): string {
  return `${nameOf(ending)} ${JSON.stringify(ending.moment)}`;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The error with all that is needed to look into it, and a folder that stays. */
async function violation(error: unknown, scenario: Scenario, world: World): Promise<Violation> {
  const kept = await mkdtemp(join(tmpdir(), `s3migrate-torture-${scenario.seed}-`));
  await cp(world.migration.root, kept, { recursive: true });
  const { hosts, flags, startAfter, keepsTruncated, refusals } = scenario;
  const given = JSON.stringify({ hosts, flags, startAfter, keepsTruncated, refusals });
  const story = [`given: ${given}`, ...world.story].join('\n');
  await writeFile(join(kept, 'story.txt'), story);
  const message = error instanceof Error ? error.message : String(error);
  return new Violation(
    `${message}\n\nseed ${scenario.seed}; again: npm run torture -- --runs 1 --seed ${scenario.seed}\nkept: ${kept}\n${story}\n`,
    { cause: error },
  );
}
