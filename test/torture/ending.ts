/**
 * How a start of the program is ended before its own end: which signals, and the moment at which they come.
 *
 * SIGKILL inside a log write comes from within the process (kill-in-write.mjs): only there is it known that
 * one is under way, and only there can half of one be written.
 */
import { watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationName } from '../../src/s3-server/routing.ts';
import type { Migration } from '../cli/migration.ts';
import type { RunningProgram } from '../support/run-s3migrate.ts';

export type Moment =
  | { readonly kind: 'time'; readonly ms: number }
  | {
      readonly kind: 'request';
      readonly side: 'source' | 'destination';
      readonly operation: OperationName;
      /** Which one since the start, from 1. */
      readonly nth: number;
      /** `done`: carried out, but not answered. `hangs`: never carried out nor answered. */
      readonly edge: 'arrives' | 'done' | 'hangs';
    }
  /** What the nth step does to the log folder is not done, done by half, or just done. */
  | { readonly kind: 'log'; readonly nth: number; readonly edge: 'before' | 'half' | 'after' }
  /** The nth time that a file comes, goes or is renamed in the log folder. */
  | { readonly kind: 'folder'; readonly nth: number };

export interface Ending {
  /** With a second one the program is to leave at once. */
  readonly signals:
    | readonly ['SIGKILL']
    | readonly ['SIGINT' | 'SIGTERM']
    | readonly ['SIGINT' | 'SIGTERM', 'SIGINT' | 'SIGTERM'];
  readonly moment: Moment;
}

/** For the tally: what is counted together. */
export function nameOf({ signals, moment }: Ending): string {
  const signal = signals.length === 2 ? 'two signals' : signals[0];
  switch (moment.kind) {
    case 'time':
      return `${signal} at a time`;
    case 'request':
      return `${signal} when ${moment.operation} ${moment.edge === 'done' ? 'is done' : moment.edge}`;
    case 'log':
      return `${signal} ${moment.edge === 'half' ? 'half-way through' : moment.edge} a log write`;
    case 'folder':
      return `${signal} at a change of the log folder`;
  }
}

/** A start that is going to be ended. */
export class ArmedEnding {
  readonly #ending: Ending;
  readonly #migration: Migration;
  readonly #disarming: (() => void)[] = [];
  #program: RunningProgram | undefined;
  #struck = false;

  private constructor(ending: Ending, migration: Migration) {
    this.#ending = ending;
    this.#migration = migration;
  }

  /** Before the program starts: rules that come later count after this one's. */
  static async arm(ending: Ending, migration: Migration, logFolder: string): Promise<ArmedEnding> {
    const armed = new ArmedEnding(ending, migration);
    const { moment } = ending;
    if (moment.kind === 'request') armed.#armRequest(moment);
    if (moment.kind === 'folder') await armed.#armFolder(logFolder, moment.nth);
    return armed;
  }

  /** What the program is to be started with. */
  get environment(): Record<string, string> {
    const { moment } = this.#ending;
    if (moment.kind !== 'log') return {};
    const preload = join(import.meta.dirname, 'kill-in-write.mjs');
    return {
      NODE_OPTIONS: `--import=${preload}`,
      S3MIGRATE_TORTURE_KILL: `${moment.edge} ${moment.nth}`,
    };
  }

  started(program: RunningProgram): void {
    this.#program = program;
    const { moment } = this.#ending;
    if (moment.kind !== 'time') return;
    const timer = setTimeout(() => void this.#strike(), moment.ms);
    this.#disarming.push(() => clearTimeout(timer));
  }

  /** The start has ended, by whatever: nothing is done to it any more. */
  disarm(): void {
    for (const disarm of this.#disarming) disarm();
    this.#struck = true;
  }

  #armRequest({ side, operation, nth, edge }: Moment & { kind: 'request' }): void {
    const rule = this.#migration[side].script
      .on(operation)
      .where(() => !this.#struck)
      .skip(nth - 1)
      .times(1);
    const strike = async (): Promise<void> => {
      await this.#strike();
      // Nothing of the answer reaches one who is killed. One who is asked to end waits for it.
      if (this.#ending.signals[0] === 'SIGKILL') await this.#program?.ended;
    };
    if (edge === 'done') rule.after(strike);
    else rule.before(strike);
    if (edge === 'hangs') rule.hang();
  }

  async #armFolder(logFolder: string, nth: number): Promise<void> {
    await mkdir(logFolder, { recursive: true, mode: 0o700 });
    let seen = 0;
    const watcher = watch(logFolder, (event) => {
      if (event === 'rename' && ++seen === nth) void this.#strike();
    });
    this.#disarming.push(() => watcher.close());
  }

  async #strike(): Promise<void> {
    const program = this.#program;
    if (program === undefined || this.#struck) return;
    this.#struck = true;
    const [first, second] = this.#ending.signals;
    program.kill(first);
    if (second === undefined) return;
    // Two that come together are one. A program that ends at the first does not say this.
    const heard = program.until('stderr', (printed) => printed.includes('s3migrate: stopping'));
    void heard.then(
      () => program.kill(second),
      () => undefined,
    );
  }
}
