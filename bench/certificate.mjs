/**
 * A certificate for 127.0.0.1 and the authority that signed it, made by the openssl command (3.0 or
 * later) for one run. s3sync refuses one that is its own authority, as that of test/s3-server is.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
const QUIET = { stdio: ['ignore', 'ignore', 'pipe'] };

/** @returns paths of PEM files in this folder */
export function makeCertificate(folder) {
  const [caFile, caKeyFile, certFile, keyFile] = ['ca', 'ca-key', 'cert', 'key'].map((name) =>
    join(folder, `${name}.pem`),
  );
  const signed = (words) => execFileSync('openssl', ['req', '-x509', ...NEW_KEY, ...words], QUIET);
  signed(['-subj', '/CN=s3migrate bench', '-keyout', caKeyFile, '-out', caFile]);
  const signedByIt = ['-CA', caFile, '-CAkey', caKeyFile, '-addext', 'basicConstraints=CA:FALSE'];
  const forAddress = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  signed([...signedByIt, ...forAddress, '-keyout', keyFile, '-out', certFile]);
  return { caFile, certFile, keyFile };
}
