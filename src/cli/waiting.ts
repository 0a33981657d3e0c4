/**
 * Says on standard error that a store is waited for while its bucket is opened.
 */
export function tellWaiting(message: string): void {
  process.stderr.write(`s3migrate: ${message}\n`);
}
