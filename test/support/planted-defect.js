/**
 * A defect, planted into the program by NODE_OPTIONS=--import: on SIGUSR2 it throws where nobody catches it.
 *
 * PLANTED_DEFECT says how: `exception`, `rejection`, or `worker` for an exception in each worker thread.
 */
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

const kind = process.env.PLANTED_DEFECT;
const channel = new BroadcastChannel('planted-defect');
channel.unref();

function fail() {
  const error = new Error(`planted: ${process.env.PLANTED_MESSAGE ?? '\x1b[31mno such thing'}`);
  if (kind === 'rejection') void Promise.reject(error);
  else throw error;
}

if (isMainThread) {
  process.on('SIGUSR2', () => (kind === 'worker' ? channel.postMessage('now') : fail()));
} else {
  channel.addEventListener('message', () => setImmediate(fail));
}
