/**
 * Errors that stop a run, as plain data on their way between threads.
 */
import { MigrateError, messageOf } from '../../errors.ts';

/** An error that stops the run, on its way between threads. */
export interface Failure {
  readonly message: string;
  readonly hint: string | undefined;
  readonly exitCode: MigrateError['exitCode'] | undefined;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof MigrateError) {
    const { message, hint, exitCode } = error;
    return { message, hint, exitCode };
  }
  return { message: messageOf(error), hint: undefined, exitCode: undefined };
}

/** The error again; one that was no MigrateError is not one here either. */
export function errorOf({ message, hint, exitCode }: Failure): Error {
  if (exitCode === undefined) return new Error(message);
  return new MigrateError(message, { exitCode, ...(hint === undefined ? {} : { hint }) });
}
