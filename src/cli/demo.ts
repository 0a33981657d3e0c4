import type { ExitCode } from '../errors.ts';

export async function demo(): Promise<ExitCode> {
  return 0;
}
