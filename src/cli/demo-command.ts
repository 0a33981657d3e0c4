/**
 * Runs s3migrate for the demo as an operator would: the program itself, as a process of its own, with
 * its secrets in the environment.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../bin/s3migrate', import.meta.url));

export interface DemoCommand {
  /** Words of the command line after the program's name, as they are broken into lines when shown. */
  readonly lines: readonly (readonly string[])[];
  /** Variables of this program; those of the surroundings are not passed on. */
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
}

export type CommandEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals };

export interface StartedCommand {
  /** `kill -9`. */
  kill(): void;
  /** Resolves when the process is gone and all it said is written. */
  readonly ended: Promise<CommandEnd>;
}

/** The command in one shell's words, ready to be typed. */
export function commandText({ lines }: DemoCommand): string {
  return ['s3migrate', ...lines.map((words) => words.join(' '))]
    .join(' \\\n    ')
    .replace(/^s3migrate \\\n {4}/, 's3migrate ');
}

/**
 * Starts it. On a terminal it draws there itself; else what it says on stderr goes to our stdout, so that
 * the demo is one text.
 *
 * @param signal kills it when aborted
 */
export function startCommand(command: DemoCommand, signal: AbortSignal): StartedCommand {
  const onTerminal = process.stderr.isTTY;
  const child = spawn(process.execPath, [PROGRAM, ...command.lines.flat()], {
    cwd: command.folder,
    env: { ...surroundings(), ...command.environment },
    stdio: ['ignore', 'inherit', onTerminal ? 'inherit' : 'pipe'],
  });
  child.stderr?.on('data', (text: Buffer) => process.stdout.write(text));
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  if (signal.aborted) kill();
  const ended = new Promise<CommandEnd>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killedBy) => {
      signal.removeEventListener('abort', kill);
      resolve(
        killedBy === null
          ? { kind: 'exited', code: code ?? -1 }
          : { kind: 'killed', signal: killedBy },
      );
    });
  });
  return { kill, ended };
}

/** Without what the caller may have exported for a migration of his own. */
function surroundings(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('S3MIGRATE_')),
  );
}
