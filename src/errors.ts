/**
 * What stops a run or keeps it from starting. What happens to one object is an outcome, not an error.
 */

/** 0 every key handled, 1 finished with failures, 2 usage or input, 3 cannot go on, 130/143 interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 130 | 143;

export interface MigrateErrorOptions {
  /** 2: usage or input, nothing of it was started. 3: cannot go on (credentials, disk, store). */
  exitCode: 2 | 3;
  /** What to do now: the next command to type, or the choice to make. */
  hint?: string;
  cause?: unknown;
}

/** Thrown anywhere, caught once in src/cli. The message is one sentence with the value that was wrong and where. */
export class MigrateError extends Error {
  readonly exitCode: 2 | 3;
  readonly hint: string | undefined;

  constructor(message: string, { exitCode, hint, cause }: MigrateErrorOptions) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'MigrateError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** The message of anything thrown, in one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Shorter ones are placeholders (S3 stores want eight characters), and would be found in many a word. */
const LEAST_SECRET_LENGTH = 8;

/** The text with `***` for each secret that it holds. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret.length >= LEAST_SECRET_LENGTH)
    .reduce((hidden, secret) => hidden.replaceAll(secret, () => '***'), text);
}
