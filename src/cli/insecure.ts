/**
 * A warning that nobody can overlook: what goes over a connection whose certificate is not verified is open.
 */
import type { BucketAddress } from '../s3/open-store.ts';

export function warnOfInsecure(addresses: readonly BucketAddress[]): void {
  for (const { flagPrefix, endpoint } of addresses) {
    if (endpoint.tls?.verify !== false) continue;
    process.stderr.write(
      `s3migrate: WARNING: ${flagPrefix}-insecure: whoever sits between can read and change everything\n`,
    );
  }
}
