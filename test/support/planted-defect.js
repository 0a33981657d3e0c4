/**
 * A defect, planted into the program by NODE_OPTIONS=--import: on SIGUSR2 it throws where nobody catches it.
 *
 * PLANTED_DEFECT says how: `exception`, `rejection`, or `worker` for an exception in each worker thread, `memory` for one
 * that takes all memory there is.
 */
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

const kind = process.env.PLANTED_DEFECT;
const inWorkers = kind === 'worker' || kind === 'memory';
const channel = new BroadcastChannel('planted-defect');
channel.unref();

function fail() {
  if (kind === 'memory')
    for (const taken = []; ; ) taken.push(Array.from({ length: 10_000 }, () => taken.length));
  const error = new Error(`planted: ${process.env.PLANTED_MESSAGE ?? '\x1b[31mno such thing'}`);
  if (kind === 'rejection') void Promise.reject(error);
  else throw error;
}

if (isMainThread) {
  process.on('SIGUSR2', () => (inWorkers ? channel.postMessage('now') : fail()));
} else {
  channel.addEventListener('message', () => setImmediate(fail));
}
