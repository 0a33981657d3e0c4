/**
 * Two null S3 servers in processes of their own, source and destination, on the first core where the
 * client has another.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pinned } from './measured-run.mjs';

const PROGRAM = fileURLToPath(new URL('null-s3.mjs', import.meta.url));

/**
 * The caller stops them.
 *
 * @param count and `sizeBytes` of the synthetic objects of the source, as SyntheticObjects takes them
 * @param hash whether the destination hashes what it is sent
 * @param certificate as makeCertificate gives it: they speak TLS then
 * @param cores for both; undefined for any
 */
export async function startNullServers({ count, sizeBytes, hash = false, certificate, cores }) {
  const begin = () => startOne({ count, sizeBytes, hash, certificate, cores });
  const [source, destination] = await Promise.all([begin(), begin()]);
  return {
    source: source.url,
    destination: destination.url,
    /** Of the authority to trust; undefined without TLS. */
    caFile: certificate?.caFile,
    /** Both as new. */
    async reset() {
      await Promise.all([source.ask('reset'), destination.ask('reset')]);
    },
    /** Since the last reset: what each was asked for, its processor time, what the destination has `stored`. */
    async counts() {
      const [ofSource, ofDestination] = await Promise.all([
        source.ask('counts'),
        destination.ask('counts'),
      ]);
      return { source: ofSource, destination: ofDestination };
    },
    stop() {
      source.stop();
      destination.stop();
    },
  };
}

async function startOne({ count, sizeBytes, hash, certificate, cores }) {
  const command = [
    process.execPath,
    PROGRAM,
    '--objects',
    String(count),
    '--size',
    String(sizeBytes),
  ];
  if (hash) command.push('--hash');
  if (certificate !== undefined) {
    command.push('--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile);
  }
  const [program, ...args] = pinned(cores, command);
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const answer = () =>
    new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('a server ended'));
      child.once('exit', onExit);
      child.once('message', (message) => {
        child.off('exit', onExit);
        resolve(message);
      });
    });
  const { port } = await answer();
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    async ask(request) {
      child.send(request);
      return (await answer()).counts;
    },
    stop: () => child.kill(),
  };
}

/**
 * @throws when the destination has not exactly so many objects, or one that is not the source's
 */
export function requireCopied({ destination }, count) {
  const { stored, wrong } = destination;
  if (stored === count && wrong === 0) return;
  throw new Error(`the destination has ${stored} of ${count} objects, ${wrong} of them wrong`);
}
