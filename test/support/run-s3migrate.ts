/**
 * Runs the built programs as an operator does: a process of its own, its arguments, what it prints and
 * how it ends.
 *
 * S3MIGRATE_TEST_NODE names the Node to run them with; by default it is the one that runs the tests.
 * A process does not outlive the test that started it.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const NODE = process.env['S3MIGRATE_TEST_NODE'] ?? process.execPath;

export interface RunOptions {
  /** `s3migrate` by default. */
  readonly program?: 's3migrate' | 's3find';
  /** All of the environment but PATH: nothing of the tester's own gets in. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Words of a command that runs the program, such as prlimit with a limit. */
  readonly under?: readonly string[];
}

/** How a program ended. */
export interface Ended {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** The words of the command line that runs a program; bytes that are not UTF-8 cannot be in it. */
export function commandLine(args: readonly string[], program: RunOptions['program']): string[] {
  return [NODE, join(ROOT, 'bin', program ?? 's3migrate'), ...args];
}

export function startProgram(args: readonly string[], options: RunOptions = {}): RunningProgram {
  return startCommand([...(options.under ?? []), ...commandLine(args, options.program)], options);
}

/** Runs to the end. */
export function runProgram(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return startProgram(args, options).ended;
}

/** For what stands around a program: a shell, a terminal. */
export function startCommand(
  [command = '', ...args]: readonly string[],
  { env = {}, cwd }: Pick<RunOptions, 'env' | 'cwd'> = {},
): RunningProgram {
  const child = spawn(command, args, {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return new RunningProgram(child);
}

export class RunningProgram {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #output = { stdout: '', stderr: '' };
  readonly #waiting = new Set<() => void>();
  #over = false;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        this.#output[name] += text;
        this.#wake();
      });
    }
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode, signal) => {
        this.#over = true;
        this.#wake();
        resolve({ exitCode: exitCode ?? undefined, signal: signal ?? undefined, ...this.#output });
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Keys pressed on the terminal that the program runs on, or bytes of its standard input. */
  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /**
   * Resolves when what was printed so far satisfies the predicate.
   *
   * @throws Error with all that was printed when the program ends before that
   */
  until(name: 'stdout' | 'stderr', holds: (printed: string) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const printed = this.#output[name];
        if (holds(printed)) resolve();
        else if (this.#over)
          reject(new Error(`ended before that: ${JSON.stringify(this.#output)}`));
        else return;
        this.#waiting.delete(check);
      };
      this.#waiting.add(check);
      check();
    });
  }

  /**
   * Waits for something that the program is to bring about elsewhere, such as a request at a server.
   *
   * @throws Error with all that was printed when the program ends before that
   */
  async reaches(event: Promise<void>): Promise<void> {
    const ended = this.ended.then((end) => {
      throw new Error(`ended before that: ${JSON.stringify(end)}`);
    });
    await Promise.race([event, ended]);
  }

  #wake(): void {
    for (const check of this.#waiting) check();
  }
}
