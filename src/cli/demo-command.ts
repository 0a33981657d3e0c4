/**
 * The commands of the demo: what an operator would type, run as processes of their own, with the
 * secrets in the environment.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Side } from './demo-side.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/s3migrate', import.meta.url));

/** Of the run, in the folder of the commands. */
export const LOG_FOLDER = 'logs';

export interface DemoCommand {
  /** The words after the program's name, in the lines in which they are shown. */
  readonly lines: readonly (readonly string[])[];
  /** Environment variables for it. */
  readonly secrets: Readonly<Record<string, string>>;
  /** The assignments to show before it: those not exported once for all commands. */
  readonly assignments: readonly string[];
}

export interface StartedCommand {
  /** As it would be typed. */
  readonly text: string;
  /** `kill -9`. */
  kill(): void;
  /** Resolves when the process is gone and all it said has been passed on. */
  readonly ended: Promise<CommandEnd>;
}

export type CommandEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals };

/** `s3migrate list` of one side. */
export function listCommand(side: Side): DemoCommand {
  return {
    lines: [
      ['list', '--url', side.server.url, '--bucket', side.bucketName],
      ['--key', side.accessKey, listFolder(side)],
    ],
    secrets: { S3MIGRATE_SECRET: side.secret },
    assignments: [`S3MIGRATE_SECRET=$${secretVariable(side)}`],
  };
}

/** The migration; the same command each time. */
export function migrateCommand(source: Side, destination: Side): DemoCommand {
  return {
    lines: [...sideFlags(source), ...sideFlags(destination), ['--log-folder', LOG_FOLDER]],
    secrets: {
      [secretVariable(source)]: source.secret,
      [secretVariable(destination)]: destination.secret,
    },
    assignments: [],
  };
}

/** The variable from which the migration takes a side's secret. */
export function secretVariable({ name }: Pick<Side, 'name'>): string {
  return `S3MIGRATE_${name === 'source' ? 'SRC' : 'DEST'}_SECRET`;
}

function sideFlags(side: Side): string[][] {
  const flag = (name: string): string => `--${side.name === 'source' ? 'src' : 'dest'}-${name}`;
  return [
    [flag('url'), side.server.url, flag('bucket'), side.bucketName],
    [flag('key'), side.accessKey, flag('folder'), listFolder(side)],
  ];
}

function listFolder({ name }: Side): string {
  return `lists/${name}`;
}

/** None of its words needs quotes. */
function commandText({ lines, assignments }: DemoCommand): string {
  const [first = [], ...others] = lines;
  return [
    ...assignments,
    ['s3migrate', ...first].join(' '),
    ...others.map((words) => words.join(' ')),
  ].join(' \\\n    ');
}

/**
 * Starts a command. On a terminal it draws there itself; else what it says on stderr goes to our stdout,
 * so that the demo is one text.
 *
 * @param options.signal kills it when aborted
 */
export function startCommand(
  command: DemoCommand,
  { folder, signal }: { folder: string; signal: AbortSignal },
): StartedCommand {
  const child = spawn(process.execPath, [PROGRAM, ...command.lines.flat()], {
    cwd: folder,
    env: { ...surroundings(), ...command.secrets },
    stdio: ['ignore', 'inherit', process.stderr.isTTY ? 'inherit' : 'pipe'],
  });
  child.stderr?.on('data', (text: Buffer) => process.stdout.write(text));
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  if (signal.aborted) kill();
  const ended = new Promise<CommandEnd>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killedBy) => {
      signal.removeEventListener('abort', kill);
      if (killedBy !== null) resolve({ kind: 'killed', signal: killedBy });
      else resolve({ kind: 'exited', code: code as number });
    });
  });
  return { text: commandText(command), kill, ended };
}

/** Without what was exported for a migration of one's own. */
function surroundings(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('S3MIGRATE_')),
  );
}
