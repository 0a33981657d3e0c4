/**
 * How much of what a store allows is used, and how many requests it has to refuse: a migration of small objects
 * against a store that allows R requests a second (a token bucket) and answers 503 SlowDown beyond.
 *
 *   npm run build && node bench/throttle.mjs [--rate R] [--side source|destination] [--seconds S]
 *     [--burst SECONDS] [--delay MS] [--cores N] [--threads N] [--retry-after SECONDS]
 *
 * Both servers are embedded ones in this process. The first ten seconds are told apart: in them the run finds
 * out. A ratio within one run: requests allowed and refused, of those that the bucket had room for.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { errorAnswer } from '../dist/s3-server/answer.js';
import { startS3Server } from '../dist/s3-server/server.js';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '200' },
    side: { type: 'string', default: 'destination' },
    seconds: { type: 'string', default: '40' },
    burst: { type: 'string', default: '1' },
    delay: { type: 'string', default: '0' },
    cores: { type: 'string', default: '1' },
    threads: { type: 'string', default: '64' },
    'retry-after': { type: 'string' },
  },
});
const rate = Number(values.rate);
const seconds = Number(values.seconds);
const SETTLING_S = 10;

/** Requests of one second, for the table. */
const perSecond = [];
let begun;
let tokens = rate * Number(values.burst);
let filledAt = performance.now();

function takeToken() {
  const now = performance.now();
  tokens = Math.min(rate * Number(values.burst), tokens + ((now - filledAt) / 1_000) * rate);
  filledAt = now;
  if (tokens < 1) return false;
  tokens--;
  return true;
}

function count(kind) {
  begun ??= performance.now();
  const second = Math.floor((performance.now() - begun) / 1_000);
  perSecond[second] ??= { allowed: 0, refused: 0 };
  perSecond[second][kind]++;
}

async function throttled({ request }, proceed) {
  await sleep(Number(values.delay));
  if (request.key === '' || request.key.includes('.s3migrate-probe')) return proceed();
  if (takeToken()) {
    count('allowed');
    return proceed();
  }
  count('refused');
  const answer = errorAnswer(request, '1', {
    status: 503,
    code: 'SlowDown',
    message: 'Reduce your request rate.',
  });
  const after = values['retry-after'];
  return after === undefined
    ? answer
    : { ...answer, headers: { ...answer.headers, 'retry-after': after } };
}

const folder = await mkdtemp(join(tmpdir(), 's3migrate-throttle-'));
const access = { accessKey: 'user1', secretKey: 'password123', buckets: ['photos'] };
const servers = { source: await startS3Server(access), destination: await startS3Server(access) };
try {
  const keys = Array.from(
    { length: Math.min(400_000, Math.ceil(rate * seconds * 1.5) + 1_000) },
    (_, i) => `2019/img-${String(i).padStart(8, '0')}.jpg`,
  );
  for (const key of keys) servers.source.bucket('photos').put(key, { body: Buffer.from(key) });
  servers[values.side].interceptWith(throttled);
  await mkdir(join(folder, 'src'));
  await mkdir(join(folder, 'dest'));
  await writeFile(join(folder, 'src/00000000.txt'), `${keys.join('\n')}\n`);
  const flags = (side, url) => [
    `--${side}-url=${url}`,
    `--${side}-bucket=photos`,
    `--${side}-key=user1`,
    `--${side}-secret=password123`,
    `--${side}-folder=${join(folder, side)}`,
  ];
  const program = new URL('../bin/s3migrate', import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    [
      program,
      ...flags('src', servers.source.url),
      ...flags('dest', servers.destination.url),
      `--log-folder=${join(folder, 'log')}`,
      `--cores=${values.cores}`,
      `--threads=${values.threads}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  await Promise.race([ended, sleep(seconds * 1_000)]);
  child.kill('SIGTERM');
  await ended;

  const settled = perSecond.slice(SETTLING_S, -2).map((one) => one ?? { allowed: 0, refused: 0 });
  const sum = (list, kind) => list.reduce((total, one) => total + (one?.[kind] ?? 0), 0);
  const allowed = sum(settled, 'allowed');
  const refused = sum(settled, 'refused');
  const percent = (share) => `${(share * 100).toFixed(1)} %`;
  console.log(
    `R=${rate}/s ${values.side} burst ${values.burst} s, ${values.delay} ms, cores ${values.cores}: after ${SETTLING_S} s ` +
      `${percent(allowed / (settled.length * rate))} of R, ${percent(refused / (allowed + refused))} refused; ` +
      `in the first ${SETTLING_S} s ${percent(sum(perSecond.slice(0, SETTLING_S), 'allowed') / (SETTLING_S * rate))}, ` +
      `${sum(perSecond.slice(0, SETTLING_S), 'refused')} refused`,
  );
  if (process.env.VERBOSE) {
    console.log(perSecond.map((one) => `${one?.allowed ?? 0}/${one?.refused ?? 0}`).join(' '));
    console.log(
      stderr
        .split(/[\r\n]/)
        .filter((line) => line.includes('obj='))
        .slice(-3)
        .join('\n'),
    );
  }
} finally {
  for (const server of Object.values(servers)) await server.close();
  await rm(folder, { recursive: true });
}
