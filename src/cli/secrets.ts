/**
 * Where secrets come in, and where they could get out again: the command line, the environment, standard error.
 *
 * Once a command begins its work, its secrets are neither in the process list nor in the environment, which
 * children and worker threads inherit, and no line on standard error has them, whatever message they were in.
 * What the kernel shows of a process's first environment (/proc/PID/environ, to its own user and root) stays.
 */
import { withoutSecrets } from '../errors.ts';
import { camelCase, environmentName, type RawOptions } from './options.ts';

const SECRET_FLAGS = ['', 'src-', 'dest-'].flatMap((prefix) => [
  `${prefix}secret`,
  `${prefix}session-token`,
]);

/**
 * Takes the arguments out of what this process tells about itself. The caller has read them.
 *
 * Diagnostic reports are switched off, whatever NODE_OPTIONS says: Node writes the whole command line into them.
 */
export function hideCommandLine(): void {
  // Overwrites all of the memory that the system shows as the command line, not only as much as the name takes.
  process.title = 's3migrate';
  process.argv.length = 2;
  const { report } = process;
  report.reportOnFatalError = false;
  report.reportOnSignal = false;
  report.reportOnUncaughtException = false;
}

/**
 * Takes the secrets out of the environment, and from now on out of what goes to standard error.
 *
 * @param environment - changed
 */
export function takeSecrets(
  raw: RawOptions,
  environment: Record<string, string | undefined>,
): void {
  for (const flag of SECRET_FLAGS) delete environment[environmentName(flag)];
  const secrets = SECRET_FLAGS.map((flag) => raw[camelCase(flag)]).filter(
    (value) => typeof value === 'string',
  );
  if (secrets.length === 0) return;
  const { stderr } = process;
  const write = stderr.write.bind(stderr) as (chunk: unknown, ...more: unknown[]) => boolean;
  stderr.write = (chunk: unknown, ...more: unknown[]) =>
    write(typeof chunk === 'string' ? withoutSecrets(chunk, secrets) : chunk, ...more);
}

const NAME_OF_SECRET = /^-*[a-z_-]*?(?:secret|token|key)/i;
const NAME = /^[\w-]*/;

/**
 * What commander says of an unknown flag, without a value that was written onto its name: a mistyped flag may have
 * come with a secret.
 */
export function withoutGluedValue(message: string): string {
  const [, flag, suggestion = ''] =
    /^unknown option '(.*?)'(\n\(Did you mean [a-z -]+\?\))?$/s.exec(message) ?? [];
  if (flag === undefined) return message;
  const [beforeValue = ''] = flag.split('=', 1);
  const [name = ''] = NAME_OF_SECRET.exec(beforeValue) ?? NAME.exec(beforeValue) ?? [];
  return `unknown option '${name}${name === beforeValue ? '' : '***'}'${suggestion}`;
}

/** Whether a word may be the rest of a secret that was not quoted: it comes close behind the flag. */
export function maySecretGoOn(argv: readonly string[], word: string): boolean {
  const at = argv.indexOf(word);
  return argv.slice(Math.max(0, at - 2), at).some((before) => NAME_OF_SECRET.test(before));
}
