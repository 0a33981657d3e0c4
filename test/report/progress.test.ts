import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, openSync } from 'node:fs';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { Writable } from 'node:stream';
import { WriteStream } from 'node:tty';
import { describe, expect, it } from 'vitest';
import { newCounters } from '../../src/domain.ts';
import { startProgress } from '../../src/report/progress.ts';
import { RecordedStream } from './fake-streams.ts';
import { Screen } from './screen.ts';

const now = (): number => performance.now();

function whatIsSeen(output: string, size: { columns: number; rows: number }): readonly string[] {
  const screen = new Screen(size);
  screen.write(output);
  return screen.rows;
}

/** All but the progress line is compared whole; of that, its beginning. */
function lineOf(objects: number): unknown {
  return expect.stringMatching(new RegExp(`^obj=${objects} :: ign=0 exist=0 work=0 \\[0% ~\\?\\]`));
}

describe('on a terminal', () => {
  const size = { columns: 100, rows: 5 };

  it('redraws one line in place by itself and leaves the last figures when it stops', async () => {
    const stream = new RecordedStream({ isTTY: true, columns: 100 });
    const counters = newCounters();
    const progress = startProgress({ counters, stream, now });
    counters.objects = 1;
    await stream.until((output) => output.includes('obj=1 '));
    expect(whatIsSeen(stream.output, size)).toEqual([lineOf(1)]);

    counters.objects = 2;
    progress.stop();
    expect(whatIsSeen(stream.output, size)).toEqual([lineOf(2), '']);
  });

  it('shows 100% only when it stops', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 100 });
    const counters = {
      ...newCounters(),
      objects: 1,
      exists: 1,
      listBytes: 9,
      listBytesTotal: 9,
    };
    const progress = startProgress({ counters, stream, now });
    expect(whatIsSeen(stream.output, size)[0]).toContain('[99% ~0s]');
    progress.stop();
    expect(whatIsSeen(stream.output, size)[0]).toContain('[100% ~0s]');
  });

  it('prints messages above the line, also when the screen scrolls under them', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 100 });
    const progress = startProgress({ counters: newCounters(), stream, now });
    progress.message('first');
    expect(whatIsSeen(stream.output, size)).toEqual(['first', lineOf(0)]);
    for (const text of ['second', 'third', 'fourth', 'fifth']) progress.message(text);
    progress.stop();
    expect(whatIsSeen(stream.output, size)).toEqual(['third', 'fourth', 'fifth', lineOf(0), '']);
  });

  it('keeps to the width of the terminal, also after a resize', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 40 });
    const progress = startProgress({ counters: newCounters(), stream, now });
    expect(whatIsSeen(stream.output, { columns: 40, rows: 5 })).toEqual([
      'obj=0 :: ign=0 exist=0 work=0 [0% ~?] ::'.slice(0, 39),
    ]);
    stream.columns = 12;
    stream.output = '';
    progress.stop();
    expect(whatIsSeen(stream.output, { columns: 12, rows: 5 })).toEqual(['obj=0 :: ig', '']);
  });

  it('takes 80 columns when the terminal does not tell', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 0 });
    startProgress({ counters: newCounters(), stream, now }).stop();
    expect(whatIsSeen(stream.output, { columns: 80, rows: 5 })).toEqual([
      'obj=0 :: ign=0 exist=0 work=0 [0% ~?] :: fail=0 skip(dn=0 up=0) dnld=0 (0.0/s)',
      '',
    ]);
  });

  it('adds the note that holds at the moment', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 300 });
    let note: string | undefined = 'waiting for a';
    const progress = startProgress({ counters: newCounters(), stream, now, note: () => note });
    expect(whatIsSeen(stream.output, { columns: 300, rows: 5 })[0]).toMatch(/ :: waiting for a$/);
    note = undefined;
    progress.stop();
    expect(whatIsSeen(stream.output, { columns: 300, rows: 5 })[0]).toMatch(/B\/s\)$/);
  });

  it('writes nothing more after it has stopped, except messages', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 100 });
    const progress = startProgress({ counters: newCounters(), stream, now });
    progress.stop();
    progress.stop();
    progress.message('late');
    expect(whatIsSeen(stream.output, size)).toEqual([lineOf(0), 'late', '']);
  });

  it('is not drawn anew while the terminal has not taken what was drawn before', () => {
    const stream = new RecordedStream({ isTTY: true, columns: 100 });
    const progress = startProgress({ counters: newCounters(), stream, now });
    let waiting = 1;
    Object.defineProperty(stream, 'writableLength', { get: () => waiting });
    stream.output = '';
    progress.message('said meanwhile');
    expect(stream.output.endsWith('said meanwhile\n')).toBe(true);
    waiting = 0;
    progress.message('said later');
    expect(stream.output.split('obj=')).toHaveLength(2);
    waiting = 1;
    progress.stop();
    expect(stream.output.split('obj=')).toHaveLength(3);
  });

  it('installs no signal handler', () => {
    const before = process.listenerCount('SIGINT') + process.listenerCount('SIGTERM');
    const stream = new RecordedStream({ isTTY: true, columns: 100 });
    const progress = startProgress({ counters: newCounters(), stream, now });
    expect(process.listenerCount('SIGINT') + process.listenerCount('SIGTERM')).toBe(before);
    progress.stop();
  });

  it('looks as promised on a real pseudo-terminal', async () => {
    const terminal = spawn('script', ['-qfc', 'stty cols 60; tty; exec cat', '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    terminal.stdout.setEncoding('utf8');
    let output = '';
    terminal.stdout.on('data', (text: string) => (output += text));
    async function untilSeen(pattern: RegExp): Promise<string> {
      for (let match = pattern.exec(output); ; match = pattern.exec(output)) {
        if (match !== null) return match[0];
        await once(terminal.stdout, 'data');
      }
    }
    const device = await untilSeen(/\/dev\/pts\/\d+(?=\r\n)/);
    const stream = new WriteStream(openSync(device, constants.O_RDWR | constants.O_NOCTTY));
    expect(stream).toMatchObject({ isTTY: true, columns: 60 });

    const progress = startProgress({ counters: newCounters(), stream, now });
    progress.message('a warning');
    progress.stop();
    stream.write('next\n');
    await untilSeen(/next\r\n$/);
    expect(whatIsSeen(output, { columns: 60, rows: 24 })).toEqual([
      device,
      'a warning',
      'obj=0 :: ign=0 exist=0 work=0 [0% ~?] :: fail=0 skip(dn=0 u',
      'next',
      '',
    ]);
    stream.destroy();
    terminal.stdin.end();
    await once(terminal, 'close');
  });
});

describe('in a file or a pipe', () => {
  it('prints a plain line now and then and one at the end', async () => {
    const stream = new RecordedStream({ isTTY: false });
    const counters = newCounters();
    const progress = startProgress({ counters, stream, now, plainEveryMs: 1 });
    await stream.until((output) => output.split('\n').length > 2);
    counters.objects = 3;
    progress.stop();
    const lines = stream.output.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.pop()).toMatch(/^obj=3 :: .*ul\.byt=0B \(0B\/s\)$/);
    expect(lines).toEqual(lines.map(() => lineOf(0)));
    expect(stream.output).not.toContain('\x1b');
  });

  it('prints only the last line when the run is shorter than the interval', () => {
    const stream = new RecordedStream({ isTTY: false });
    startProgress({ counters: newCounters(), stream, now }).stop();
    expect(stream.output.split('\n')).toEqual([lineOf(0), '']);
  });

  it('prints messages as lines that cannot steer a terminal', () => {
    const stream = new RecordedStream({ isTTY: false });
    const progress = startProgress({ counters: newCounters(), stream, now });
    progress.message('503\nSlow\x1b[2J Down');
    expect(stream.output).toBe('503 Slow\\x1B[2J Down\n');
    progress.stop();
  });
});

describe.each([true, false])('when the reader goes away (a terminal: %s)', (isTTY) => {
  it('goes silent for good, and the run does not notice', async () => {
    const writes: string[] = [];
    const stream = Object.assign(
      new Writable({
        autoDestroy: false,
        decodeStrings: false,
        write(chunk: string, _encoding, done) {
          writes.push(chunk);
          done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
        },
      }),
      { isTTY, columns: 80 },
    );
    let errors = 0;
    stream.prependListener('error', () => errors++);

    const progress = startProgress({ counters: newCounters(), stream, now });
    progress.message('the first to fail');
    await new Promise((resolve) => stream.once('error', resolve));
    const attempted = writes.length;
    progress.message('nobody reads this');
    progress.stop();
    expect(errors).toBeGreaterThan(0);
    expect(writes.length).toBe(attempted);
  });

  it('takes an error that comes after it has stopped', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = createConnection({ port, host: '127.0.0.1' });
    const [[reader]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')]);
    const stream = Object.assign(socket, { isTTY, columns: 80 });

    startProgress({ counters: newCounters(), stream, now }).stop();
    const failure = new Promise<Error>((resolve) => stream.once('error', resolve));
    reader.resetAndDestroy();
    await expect(failure).resolves.toMatchObject({ code: 'ECONNRESET' });
    server.close();
    await once(server, 'close');
  });
});
