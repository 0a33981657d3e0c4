/**
 * A crew whose worker threads never turn their event loop, and what the main thread says of that as JSON, a line an event.
 *
 * node --import stuck-worker.js stuck-worker.js: the threads load it first, and stay in it.
 */
import { isMainThread } from 'node:worker_threads';

const STUCK_AFTER_MS = 1_500;

if (!isMainThread) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);

const { newCounters } = await import('../../../dist/domain.js');
const { DEFAULT_POLICY } = await import('../../../dist/transfer/copy-policy.js');
const { ThreadCrew } = await import('../../../dist/transfer/crew/thread-crew.js');

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const store = {
  endpoint: { host: '127.0.0.1', port: 1, tls: undefined },
  bucket: 'photos',
  region: 'us-east-1',
  credentials: { accessKey: 'AKIDTEST', secret: 'secret' },
  addressing: 'path',
};
const crew = new ThreadCrew(
  {
    source: store,
    destination: store,
    counters: newCounters(),
    uploads: undefined,
    keyrings: {},
    policy: DEFAULT_POLICY,
    cores: 1,
    threads: 1,
    threadsMin: 1,
    memoryBytes: 16 * 1024 ** 2,
    multipartThresholdBytes: 16 * 1024 ** 2,
    partBytes: undefined,
    maxOutageMs: 1_000,
    stuckAfterMs: STUCK_AFTER_MS,
  },
  {
    onOutcome: () => say({ event: 'outcome' }),
    onChange: () => {},
    onWarning: (message) => say({ event: 'warning', message }),
    onFailure: ({ message, exitCode }) => {
      say({ event: 'failure', message, exitCode, idle: crew.idle });
      void crew.close().then(() => say({ event: 'closed' }));
    },
  },
);
crew.copy({ keyAt: () => 'a' }, [0]);
