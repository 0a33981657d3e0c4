/**
 * Threads that do not run any more: felt by their pulse, ended, and told of.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { newPulse, PulseWatch } from '../../../src/transfer/crew/pulse.ts';

const PROGRAM = join(import.meta.dirname, 'stuck-worker.js');

it('a worker whose event loop does not turn is ended after a while, and the crew with it', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', PROGRAM, PROGRAM], {
    timeout: 25_000,
  });
  const events = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(events).toEqual([
    {
      event: 'failure',
      message: expect.stringMatching(/^a worker thread has died: it did not move for \d+ s$/),
      exitCode: 3,
      idle: true,
    },
    { event: 'closed' },
  ]);
});

it('a pulse is silent from its last beat on, and tells of how long it was when it is back', () => {
  const pulse = newPulse();
  const watch = new PulseWatch(pulse, 1_000);
  expect(watch.silence(3_000)).toEqual({ ms: 2_000, isOver: false });
  Atomics.add(new Int32Array(pulse), 0, 1);
  expect(watch.silence(4_000)).toEqual({ ms: 3_000, isOver: true });
  expect(watch.silence(4_500)).toEqual({ ms: 500, isOver: false });
});
