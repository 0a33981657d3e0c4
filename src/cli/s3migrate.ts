/**
 * The command s3migrate: flags, commands, exit codes. The only code that decides how the program ends.
 *
 * Commands besides the migration are loaded when they are asked for: each file more is felt at every start.
 */
import { setMaxListeners } from 'node:events';
import { createRequire } from 'node:module';
import { Command, CommanderError, Option } from 'commander';
import { type ExitCode, MigrateError } from '../errors.ts';
import { migrate, type RunResult } from '../migrate.ts';
import { displayText } from '../object-key.ts';
import { DEFAULT_PROBE_PREFIX } from '../s3/probe/probe-prefix.ts';
import { tellDefect } from './defect.ts';
import { settleEnvironment } from './environment.ts';
import { warnOfInsecure } from './insecure.ts';
import { withinOpenFiles } from './open-files.ts';
import {
  environmentName,
  GIVEN_KEYS,
  migrateOptions,
  type RawOptions,
  usageError,
} from './options.ts';
import { hideCommandLine, maySecretGoOn, takeSecrets, withoutGluedValue } from './secrets.ts';
import { exitCodeOf, watchSignals } from './signals.ts';
import { withDoubleDashes } from './single-dash.ts';
import { releaseTerminal } from './terminal.ts';

/**
 * Runs s3migrate.
 *
 * @param argv - the arguments after the program's name
 * @returns the exit code; see {@link ExitCode}
 */
export async function main(argv: string[]): Promise<number> {
  hideCommandLine();
  // One signal ends all that is under way, and each exchange listens to it: that is no leak.
  setMaxListeners(0);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const terminalSettled = releaseTerminal();
  let exitCode: ExitCode = 0;
  const program = commands(argv, (code) => {
    exitCode = code;
  });
  try {
    const flags = [MIGRATE_FLAGS, LIST_FLAGS, PROBE_FLAGS, VERIFY_FLAGS, CLEANUP_FLAGS].flat();
    settleEnvironment(flags, process.env);
    await program.parseAsync(withDoubleDashes(argv, SINGLE_DASH_FLAGS), { from: 'user' });
    return exitCode;
  } catch (error) {
    return tell(error);
  } finally {
    await terminalSettled();
  }
}

function tell(error: unknown): ExitCode {
  if (error instanceof CommanderError) {
    const refusal = ofCommander(error);
    return refusal === undefined ? 0 : tell(refusal);
  }
  if (!(error instanceof MigrateError)) return tellDefect(error);
  // Paths, and what a damaged file says, may be in it.
  process.stderr.write(`s3migrate: ${displayText(error.message)}\n`);
  if (error.hint !== undefined) process.stderr.write(`  ${displayText(error.hint)}\n`);
  return error.exitCode;
}

/** @returns undefined when help or the version was asked for and given */
function ofCommander(error: CommanderError): MigrateError | undefined {
  if (error.exitCode === 0) return undefined;
  const message = withoutGluedValue(error.message.replace(/^error: /, ''));
  return usageError(displayText(message), 's3migrate --help tells the commands and flags.');
}

function commands(argv: readonly string[], end: (code: ExitCode) => void): Command {
  const version = packageVersion();
  const program = new Command('s3migrate')
    .description(
      'Copies the objects named by sorted key lists from one S3 bucket to another, and never overwrites one.',
    )
    .version(version)
    .enablePositionalOptions()
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
    .hook('preAction', (_, command) => takeSecrets(command.opts(), process.env))
    .addHelpText('after', HELP);
  for (const option of MIGRATE_FLAGS) program.addOption(option);
  program.allowExcessArguments().action(async (raw: RawOptions, { args: [stray] }: Command) => {
    if (stray !== undefined) throw strayWord(stray, argv);
    end(await migrateCommand(raw, version));
  });

  const list = inherited(program, 'list')
    .description('Writes sorted list files of a bucket, made with ListObjectsV2.')
    .argument('<output_dir>', 'folder for the lists, new or empty');
  for (const option of LIST_FLAGS) list.addOption(option);
  list.action(async (folder: string, raw: RawOptions) => {
    const { listBucket } = await import('./list.ts');
    end(await listBucket(folder, raw));
  });

  const probing = inherited(program, 'probe').description(
    'Finds out what stores do with what a migration relies upon, by small writes that it removes. Give one bucket (--url), or one or both sides of a migration: its source is only read.',
  );
  for (const option of PROBE_FLAGS) probing.addOption(option);
  probing.allowExcessArguments(false).action(async (raw: RawOptions) => {
    const { probeBuckets } = await import('./probe.ts');
    end(await probeBuckets(raw));
  });

  const verifying = inherited(program, 'verify').description(
    'Compares what the lists name on both sides, or all that both buckets list, and writes what differs to a sorted verify.log.',
  );
  for (const option of VERIFY_FLAGS) verifying.addOption(option);
  verifying.addHelpText('after', VERIFY_HELP).action(async (raw: RawOptions) => {
    const { verifyBuckets } = await import('./verify.ts');
    end(await verifyBuckets(raw, version));
  });

  const cleaning = inherited(program, 'cleanup').description(
    'Shows the multipart uploads that a run has left at its destination, by the journal in its log folder, and aborts them on request.',
  );
  for (const option of CLEANUP_FLAGS) cleaning.addOption(option);
  cleaning
    .addHelpText('after', CLEANUP_HELP)
    .allowExcessArguments(false)
    .action(async (raw: RawOptions) => {
      const { cleanUpUploads } = await import('./cleanup.ts');
      end(await cleanUpUploads(raw));
    });

  inherited(program, 'demo')
    .description(
      'Migrates between two S3 servers of its own, is killed in the middle, and goes on.',
    )
    .action(async () => {
      const { demo } = await import('./demo.ts');
      end(await demo());
    });
  return program;
}

/** commander only counts such words; the one that is too many tells what was meant. */
function strayWord(word: string, argv: readonly string[]): MigrateError {
  const shown = maySecretGoOn(argv, word) ? 'a word behind a secret' : `"${displayText(word)}"`;
  return usageError(
    `${shown} is neither a command nor the value of a flag`,
    's3migrate --help tells the commands and flags.',
  );
}

function inherited(program: Command, name: string): Command {
  return program.command(name).copyInheritedSettings(program);
}

async function migrateCommand(raw: RawOptions, version: string): Promise<ExitCode> {
  if (raw['failedToFolder'] !== undefined) {
    const { writeFailedLists } = await import('./failed-to-folder.ts');
    return writeFailedLists(String(raw['logFolder']), String(raw['failedToFolder']));
  }
  const options = withinOpenFiles(migrateOptions(raw, version));
  warnOfInsecure([options.source, options.destination]);
  const { stdout, stderr } = process;
  const interruption = watchSignals();
  const surroundings = { ...interruption, stdout, stderr };
  try {
    if (raw['dryRun'] === true) {
      const { rehearse } = await import('../rehearsal.ts');
      await rehearse(options, surroundings);
      const { aborted, reason } = interruption.signal;
      return aborted ? exitCodeOf(reason as 'SIGINT' | 'SIGTERM') : 0;
    }
    return exitCodeAfter(await migrate(options, surroundings));
  } finally {
    interruption.end();
  }
}

function exitCodeAfter({ end, error, failed, missing, conserved }: RunResult): ExitCode {
  switch (end.kind) {
    case 'stopped':
      return error?.exitCode ?? 3;
    case 'interrupted':
      return exitCodeOf(end.signal);
    case 'complete':
      if (!conserved) return 3;
      return failed + missing > 0 ? 1 : 0;
    case 'first-reached':
      return failed + missing > 0 ? 1 : 0;
  }
}

function flag(flags: string, description: string): Option {
  const name = /--([a-z-]+)/.exec(flags)?.[1] as string;
  return new Option(flags, description).env(environmentName(name));
}

/** Behind the description of a flag that its command cannot do without. */
const MANDATORY = '; mandatory';

/** The flags of one side's bucket; the same meanings under two prefixes. */
function sideFlags(prefix: 'src' | 'dest', side: string, need: typeof MANDATORY | ''): Option[] {
  const needWithout = need === '' ? '' : `${need} without --${prefix}-credentials`;
  return [
    flag(`--${prefix}-url <url>`, `URL of the ${side} S3 endpoint${need}`),
    flag(`--${prefix}-bucket <name>`, `name of the ${side} bucket${need}`),
    flag(`--${prefix}-key <key>`, `access key for the ${side} bucket${needWithout}`),
    flag(`--${prefix}-secret <secret>`, `secret key for the ${side} bucket${needWithout}`),
    flag(`--${prefix}-session-token <token>`, `session token of temporary ${side} credentials`),
    credentialsFlag(`--${prefix}-credentials`, `--${prefix}-`),
    flag(
      `--${prefix}-region <region>`,
      `region of the ${side}; default: told by the host name or the bucket, else us-east-1`,
    ),
    flag(
      `--${prefix}-addressing <style>`,
      `path or virtual; default: virtual for AWS, path otherwise`,
    ),
    flag(`--${prefix}-ca-file <file>`, `PEM certificates to trust for the ${side}`),
    flag(`--${prefix}-insecure`, `do not verify the certificate of the ${side}`),
  ];
}

/** @param name - of it; and the dashes and prefix of the flags that it may take the place of */
function credentialsFlag(name: string, prefix: string): Option {
  return flag(
    `${name} <from>`,
    `keys: those of ${prefix}key; aws, profile=NAME, file=PATH: from there, and renewed`,
  ).default(GIVEN_KEYS);
}

function listsFlag(prefix: 'src' | 'dest', side: string, need: string): Option {
  return flag(`--${prefix}-folder <folder>`, `folder with the list files of the ${side}${need}`);
}

/** Of every command that talks to a store. Their defaults are not the same for the first request of a run. */
const TIME_FLAGS: readonly Option[] = [
  flag('--connect-timeout <duration>', 'for a connection to be ready, 1s to 1h; default: 10s'),
  flag(
    '--first-byte-timeout <duration>',
    'between the end of a request and the first byte of its answer, 1s to 1h; default: 60s',
  ),
  flag(
    '--idle-timeout <duration>',
    'between two bytes of either direction, 1s to 1h; default: 30s',
  ),
  flag(
    '--min-throughput <size>',
    'least that a request or an answer under way moves in a minute, 0 to 1GiB; default: 64KiB',
  ),
];

/** With one dash, as s3find takes it. */
const SINGLE_DASH_FLAGS = ['csv'];

/** Of stores that refuse, are late or are down. */
const LOAD_FLAGS: readonly Option[] = [
  flag(
    '--threads-min <number>',
    'as many at least, however much a store refuses or how late it answers',
  ).default('1'),
  flag(
    '--max-outage <duration>',
    'how long to wait for a store that does not answer before the run is stopped',
  ).default('1h'),
];

const MIGRATE_FLAGS: readonly Option[] = [
  ...sideFlags('src', 'source', MANDATORY),
  listsFlag('src', 'source', MANDATORY),
  ...sideFlags('dest', 'destination', MANDATORY),
  listsFlag('dest', 'destination', MANDATORY),
  flag('--threads <number>', 'objects copied at once, 1 to 4096').default('64'),
  ...LOAD_FLAGS,
  ...TIME_FLAGS,
  flag(
    '--cores <number>',
    'threads that copy; default: all cores of this host, one for each 4 of --threads at most',
  ),
  flag('--hash-count <number>', 'hosts that share this migration').default('1'),
  flag('--hash-value <number>', "this host's number among them, from 0"),
  flag('--start-after <key>', 'begin after this key, written as migrate.log writes it'),
  flag('--first <number>', 'stop after so many keys that need a transfer'),
  flag('--dry-run', 'check both buckets and print what would be done; write nothing'),
  flag('--failed-to-folder <folder>', 'write the keys of failed.log as list files, and exit'),
  flag('--log-folder <folder>', 'folder of migrate.log, failed.log and the run’s state').default(
    '.',
  ),
  flag(
    '--multipart-threshold <size>',
    'objects longer than this are copied in parts, 16MiB to 5GiB',
  ).default('1GiB'),
  flag(
    '--part-size <size>',
    'length of those parts, 5MiB to 5GiB; auto: 16MiB, or what 10,000 parts need',
  ).default('auto'),
  flag(
    '--part-layout <layout>',
    'keep: parts as the source has them, for the same ETag; even: of --part-size',
  ).default('keep'),
  flag(
    '--if-exists <how>',
    'skip: writes are conditional; head: look first, for stores without conditions; overwrite',
  ).default('skip'),
  flag(
    '--on-loss <policy>',
    'what to do when tags, lock, redirect, storage-class or metadata cannot be kept: fail, warn, drop, or warn,tags=fail',
  ).default('warn'),
  flag('--object-lock', 'copy retention and legal hold too'),
  flag('--storage-class <class>', 'storage class of the new objects; keep: as at the source'),
  flag('--require-proof', 'objects of which only the length can be compared fail'),
  flag('--fail-on-missing', 'listed keys that the source does not have make the exit code 1'),
  flag('--no-skip-detail', 'do not ask whether what is at the destination is the same'),
  flag('--verify', 'after each write, ask whether the destination has the object as written'),
  flag('--recheck-source', 'after each write, ask whether the source still has the object'),
  flag('--probe-prefix <prefix>', 'below it the destination is probed at each start').default(
    DEFAULT_PROBE_PREFIX,
  ),
  flag('--max-failures <number>', 'stop when so many objects have failed in this run'),
  flag('--memory <size>', 'object content held in memory at once; default: 64MiB a core'),
  flag(
    '--ahead-disk <size>',
    'disk for what is finished behind a slow object before the run waits for it',
  ).default('1GiB'),
];

/** Of the commands for one bucket. */
function bucketFlags(need: typeof MANDATORY | ''): Option[] {
  const needWithout = need === '' ? '' : `${need} without --credentials`;
  return [
    flag('--url <url>', `URL of the S3 endpoint${need}`),
    flag('--bucket <name>', `name of the bucket${need}`),
    flag('--key <key>', `access key${needWithout}`),
    flag('--secret <secret>', `secret key${needWithout}`),
    flag('--session-token <token>', 'session token of temporary credentials'),
    credentialsFlag('--credentials', '--'),
    flag('--region <region>', 'default: told by the host name or the bucket, else us-east-1'),
    flag('--addressing <style>', 'path or virtual; default: virtual for AWS, path otherwise'),
    flag('--ca-file <file>', 'PEM certificates to trust'),
    flag('--insecure', 'do not verify the certificate'),
  ];
}

const PREFIX_FLAG = flag(
  '--prefix <prefix>',
  'list only keys that begin with it, written as migrate.log writes keys',
);

const LIST_FLAGS: readonly Option[] = [
  ...bucketFlags(MANDATORY),
  ...TIME_FLAGS,
  PREFIX_FLAG,
  flag('--csv', 'write .csv lists with size, etag and last_modified instead of plain ones'),
];

const PROBE_FLAGS: readonly Option[] = [
  ...bucketFlags(''),
  ...sideFlags('src', 'source', ''),
  ...sideFlags('dest', 'destination', ''),
  ...TIME_FLAGS,
  flag('--probe-prefix <prefix>', 'below it the probe writes, and removes what it wrote').default(
    DEFAULT_PROBE_PREFIX,
  ),
  flag('--read-only', 'write nothing, as to a source: find out what reading tells'),
  flag('--json', 'print the findings as one line of JSON'),
];

const LISTED_ITSELF = '; without both it lists both buckets itself';

const VERIFY_FLAGS: readonly Option[] = [
  ...sideFlags('src', 'source', MANDATORY),
  listsFlag('src', 'source', LISTED_ITSELF),
  ...sideFlags('dest', 'destination', MANDATORY),
  listsFlag('dest', 'destination', LISTED_ITSELF),
  PREFIX_FLAG,
  flag('--metadata', 'compare headers, user metadata and tags too'),
  flag(
    '--content <share>',
    'read and compare the content of all objects, or of a sample of the keys: all, sample=1%',
  ),
  flag('--one-way', "leave out keys that only the destination's lists have"),
  flag('--all', 'write a line also for each object that is the same'),
  flag('--threads <number>', 'objects compared at once, 1 to 4096').default('64'),
  ...LOAD_FLAGS,
  ...TIME_FLAGS,
  flag('--hash-count <number>', 'hosts that share this verification').default('1'),
  flag('--hash-value <number>', "this host's number among them, from 0"),
  flag('--log-folder <folder>', 'folder of verify.log and its state').default('.'),
];

const CLEANUP_FLAGS: readonly Option[] = [
  ...sideFlags('dest', 'destination', MANDATORY),
  ...TIME_FLAGS,
  flag('--log-folder <folder>', 'log folder of the run').default('.'),
  flag('--abort', "abort this run's uploads"),
  flag(
    '--also-unnamed',
    "with --abort: those too whose creation was not answered, which may be another client's",
  ),
];

const CLEANUP_HELP = `
A line for each upload on standard output, by tabs: key, upload id, when it was begun, parts, bytes, state.

Exit codes: 0 nothing is left, or it is shown, or all of it aborted; 1 something could not be aborted,
2 usage, or a run is at work in the folder, 3 the store cannot be reached or does not tell.`;

const VERIFY_HELP = `
verify.log has a line for each difference: key, symbol, what, source, destination. Symbols:
  +  missing on the destination    *  different
  -  missing on the source         !  cannot be read
  =  the same (--all)

Exit codes: 0 no difference, 1 differences or errors found, 2 usage or input error,
3 cannot go on, 130 or 143 interrupted, resumable by the same command.`;

const HELP = `
Every flag may come from the environment instead, which keeps secrets out of shell histories.

Example:
  export S3MIGRATE_SRC_SECRET=... S3MIGRATE_DEST_SECRET=...
  s3migrate --src-url http://old:9000 --src-bucket photos --src-key user1 --src-folder lists/src \\
    --dest-url http://new:9000 --dest-bucket photos --dest-key user1 --dest-folder lists/dest

The same command in the same folder goes on where the last run ended.

Exit codes: 0 every key handled, 1 finished, some failed (failed.log), 2 usage or input error,
3 cannot go on (credentials, disk, store), 130 or 143 interrupted, resumable.`;

function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  return version;
}
