/**
 * Kills a migration of 100,000 objects of 4 KiB five times at random moments, goes on each time by the
 * same command, and proves that nothing is missing, nothing is of a wrong version and nothing a client
 * wrote meanwhile was overwritten.
 *
 *   npm run build && node bench/kill-and-resume.mjs [SEED]
 */
import { fork, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from './random.mjs';

const OBJECTS = 100_000;
const KILLS = 5;
const seed = Number(process.argv[2] ?? Date.now() % 1_000_000);
console.log(`seed ${seed}`);

/** The same moments for the same seed, as far as the machine's speed lets them be. */
const random = new Random(seed);

async function startServer() {
  const child = fork(new URL('server-process.mjs', import.meta.url));
  const waiting = new Map();
  const url = await new Promise((resolve) => {
    waiting.set(0, resolve);
    child.on('message', ({ id, result }) => waiting.get(id)?.(result));
  });
  let last = 0;
  const ask = (name, argument) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      child.send({ id: last, name, argument });
    });
  return { url, ask, stop: () => child.kill() };
}

const folder = await mkdtemp(join(tmpdir(), 's3migrate-kill-'));
const [source, destination] = await Promise.all([startServer(), startServer()]);
try {
  const keys = Array.from(
    { length: OBJECTS },
    (_, i) => `2019/img-${String(i).padStart(8, '0')}.jpg`,
  );
  await source.ask('fill', { keys, writer: 'source' });
  await mkdir(join(folder, 'src'));
  await mkdir(join(folder, 'dest'));
  await writeFile(join(folder, 'src/00000000.txt'), `${keys.join('\n')}\n`);

  const flags = (side, url) => [
    [`--${side}-url`, url],
    [`--${side}-bucket`, 'photos'],
    [`--${side}-key`, 'user1'],
    [`--${side}-folder`, join(folder, side)],
  ];
  const command = [
    new URL('../bin/s3migrate', import.meta.url).pathname,
    ...[...flags('src', source.url), ...flags('dest', destination.url)].flat(),
    '--log-folder',
    join(folder, 'log'),
  ];
  const env = {
    ...process.env,
    S3MIGRATE_SRC_SECRET: 'password123',
    S3MIGRATE_DEST_SECRET: 'password123',
  };
  const run = () => {
    const child = spawn(process.execPath, command, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => resolve({ code, signal, stderr }));
    });
    return { child, ended };
  };

  const clients = [];
  let there = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const { child, ended } = run();
    // Some way into what is left, wherever in a GET, a PUT or a log write that is.
    const target =
      there + Math.ceil(((OBJECTS - there) / (KILLS + 2 - kill)) * (0.5 + random.next()));
    while (child.exitCode === null && (await destination.ask('count')) < target);
    child.kill('SIGKILL');
    const { signal } = await ended;
    there = await destination.ask('count');
    // A client writes objects that are still to come: the migration must leave them alone.
    const late = keys.slice(-1 - kill * 10, -1 - (kill - 1) * 10);
    await destination.ask('overwrite', { keys: late, writer: 'client' });
    clients.push(...late);
    console.log(`kill ${kill}: ${signal} with ${there} of ${OBJECTS} objects at the destination`);
  }
  const { code, stderr } = await run().ended;
  process.stdout.write(
    stderr
      .split('\n')
      .filter((line) => !line.startsWith('obj='))
      .join('\n'),
  );

  const { objects, other } = await destination.ask('compare', { writer: 'source' });
  const unexpected = other.filter((key) => !clients.includes(key));
  const log = (await readFile(join(folder, 'log/migrate.log'), 'latin1')).split('\n').slice(1, -1);
  const logged = log.map((line) => line.split(',')[0]);
  const sortedOnce = logged.every((key, i) => i === 0 || logged[i - 1] < key);
  const outcomes = {};
  for (const line of log) {
    const outcome = line.split(',')[1];
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  console.log(
    `exit code ${code}; destination has ${objects} of ${OBJECTS} objects, ${objects - other.length} with the source's content,\n` +
      `${other.length} of ${clients.length} written by a client meanwhile still have the client's, ${unexpected.length} have any other\n` +
      `migrate.log: ${log.length} lines, ${sortedOnce ? 'sorted, each key once' : 'NOT SORTED'}; ${JSON.stringify(outcomes)}`,
  );
  const right =
    code === 0 &&
    objects === OBJECTS &&
    unexpected.length === 0 &&
    other.length === clients.length &&
    log.length === OBJECTS &&
    sortedOnce;
  console.log(right ? 'nothing is missing, nothing is wrong' : 'NOT RIGHT');
  process.exitCode = right ? 0 : 1;
} finally {
  source.stop();
  destination.stop();
  await rm(folder, { recursive: true });
}
