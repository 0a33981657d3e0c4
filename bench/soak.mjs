/**
 * A soak: migrates from one real server to another for half an hour while both are killed and started
 * again, storms are on the way to them, and s3migrate itself is killed and resumed; and proves after each
 * round that nothing is lost, nothing is wrong, and nothing is left behind.
 *
 *   npm run build && node bench/soak.mjs [--minutes 30] [--seed S]
 *
 * Exit code 0 when nothing was violated and something was copied and killed. After a violation the folder
 * with the servers' data and the logs is kept, and named.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { refuseUsage, runBench } from './command-line.mjs';
import { Random } from './random.mjs';
import { Chaos } from './soak-chaos.mjs';
import { compareContents, openUploads, readLogs, wasEnded } from './soak-check.mjs';
import { fill, removeBucket } from './soak-objects.mjs';
import { SoakProxy } from './soak-proxy.mjs';
import { Misbehaviour, Runs } from './soak-runs.mjs';
import { SoakServer } from './soak-server.mjs';
import { ACCESS_KEY, flagsOf, OURS, SECRET_KEY, toolEnvironment } from './tools.mjs';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const SOURCE_BUCKET = 'source';
const FLAGS = { threads: '32', 'multipart-threshold': '16MiB', 'part-size': '5MiB' };
/** Of s3migrate, in one round; in the first one enough that a short soak has killed something. */
const MOST_KILLS = 6;
const FIRST_KILLS = 3;
/** Retries of what has failed; the last one in calm. */
const RETRIES = 4;
const QUARTERS = 4;
const SHOWN = 20;

class Soak {
  violations = [];
  serversOwn = [];
  counts = {
    rounds: 0,
    kills: { source: 0, destination: 0 },
    storms: { 503: 0, reset: 0, stall: 0 },
    objects: 0,
    bytes: 0,
    retried: 0,
    aborted: 0,
  };
  folder;
  sides;
  runs;
  #random;
  #keys;
  #beganAt;

  constructor({ folder, sides, random }) {
    Object.assign(this, { folder, sides });
    this.#random = random;
    this.runs = new Runs(random);
  }

  /** Fills the source and lists it, all still being calm. */
  async prepare() {
    const { client, url } = this.sides.source.server;
    await client.send(new CreateBucketCommand({ Bucket: SOURCE_BUCKET }));
    const { keys, bytes } = await fill({ client, bucket: SOURCE_BUCKET, random: this.#random });
    this.#keys = keys;
    const store = flagsOf('', { url, bucket: SOURCE_BUCKET, key: ACCESS_KEY });
    await ours(['list', ...store, join(this.folder, 'src')], { S3MIGRATE_SECRET: SECRET_KEY });
    await mkdir(join(this.folder, 'dest'));
    console.log(`source has ${keys.length} objects, ${mib(bytes)} MiB`);
  }

  async run(minutes) {
    this.#beganAt = Date.now();
    const until = this.#beganAt + minutes * 60_000;
    do await this.#round(until);
    while (Date.now() < until && this.violations.length === 0);
  }

  /** @param until when it gets calm (ms since the epoch), so that the round comes to its end */
  async #round(until) {
    const round = ++this.counts.rounds;
    const began = Date.now();
    const bucket = `round-${round}`;
    const { server, proxy } = this.sides.destination;
    const destination = { client: server.client, bucket, server, proxy };
    await server.client.send(new CreateBucketCommand({ Bucket: bucket }));
    proxy.forget();
    const before = structuredClone({ ...this.counts, runs: this.runs.counts });

    const chaos = new Chaos({ sides: this.sides, random: this.#random, counts: this.counts });
    chaos.start();
    const calming = setTimeout(() => chaos.calm(), until - began);
    let passes;
    try {
      passes = await this.#passes(bucket, chaos);
    } finally {
      clearTimeout(calming);
      await chaos.stop();
    }
    await this.#checkUploads(destination, passes);
    const source = { client: this.sides.source.server.client, bucket: SOURCE_BUCKET };
    const logs = linesByKey(passes);
    const compared = await compareContents({ source, destination, keys: this.#keys, logs });
    this.counts.objects += compared.objects;
    this.counts.bytes += compared.bytes;
    this.violations.push(...compared.violations);
    this.serversOwn.push(...compared.serversOwn);
    this.#tellRound({ round, began, before, compared });
    if (this.violations.length > 0) return;
    await removeBucket({ client: server.client, bucket });
    await rm(join(this.folder, bucket), { recursive: true });
  }

  /** The migration, and what has failed again as an operator would. @returns each with its logs */
  async #passes(bucket, chaos) {
    const passes = [];
    let given = { list: join(this.folder, 'src'), keys: this.#keys };
    for (let retry = 0; ; retry++) {
      if (retry === RETRIES) await chaos.stop();
      const folder = join(this.folder, bucket, `log-${retry}`);
      await mkdir(folder, { recursive: true });
      const first = this.counts.rounds === 1 ? FIRST_KILLS : this.#random.whole(0, MOST_KILLS);
      const code = await this.runs.untilDone(this.#command(bucket, given.list, folder), {
        log: join(this.folder, bucket, `said-${retry}`),
        kills: retry === 0 ? first : this.#random.whole(0, 1),
      });
      const pass = { folder, ...(await readLogs(folder, given.keys)) };
      passes.push(pass);
      this.violations.push(...pass.violations);
      const { failed } = pass;
      if ((code === 1) !== failed.length > 0) {
        this.violations.push(`${folder}: exit code ${code} with ${failed.length} failed keys`);
      }
      if (failed.length === 0) return passes;
      if (retry === RETRIES) {
        // A killed versitygw was seen to say both that a key is there (412) and that it is not (404), ever after.
        const isServers = (line) => line.includes(',exists-but-not-shown,');
        this.serversOwn.push(...pass.reasons.filter(isServers));
        for (const line of pass.reasons.filter((reason) => !isServers(reason))) {
          this.violations.push(`${folder}: fails in calm: ${line}`);
        }
        return passes;
      }
      this.counts.retried += failed.length;
      for (const line of pass.reasons.slice(0, SHOWN)) console.log(`  failed: ${line}`);
      const list = join(this.folder, bucket, `failed-${retry}`);
      await ours(['--failed-to-folder', list, '--log-folder', folder]);
      given = { list, keys: failed };
    }
  }

  #command(bucket, list, logFolder) {
    const side = (name, { proxy }, bucket, folder) =>
      flagsOf(`${name}-`, { url: proxy.url, bucket, key: ACCESS_KEY, folder });
    return [
      ...side('src', this.sides.source, SOURCE_BUCKET, list),
      ...side('dest', this.sides.destination, bucket, join(this.folder, 'dest')),
      ...flagsOf('', { 'log-folder': logFolder, ...FLAGS }),
    ];
  }

  async #checkUploads(destination, passes) {
    if ((await openUploads(destination)).length === 0) return;
    const { bucket } = destination;
    for (const { folder } of passes) {
      const store = { url: destination.proxy.url, bucket, key: ACCESS_KEY };
      const printed = await ours([
        'cleanup',
        '--abort',
        '--also-unnamed',
        ...flagsOf('dest-', store),
        ...flagsOf('', { 'log-folder': folder }),
      ]);
      this.counts.aborted += printed
        .split('\n')
        .filter((line) => line.endsWith('\taborted')).length;
    }
    for (const upload of await openUploads(destination)) {
      const line = `${bucket}: upload ${upload.uploadId} of ${upload.key} is left after cleanup`;
      (wasEnded(destination, upload) ? this.serversOwn : this.violations).push(line);
    }
  }

  #tellRound({ round, began, before, compared }) {
    const { kills, storms, retried, aborted } = this.counts;
    const { starts, SIGKILL, SIGTERM, stopped } = this.runs.counts;
    console.log(
      [
        `round ${round}: ${((Date.now() - began) / 1000).toFixed(0)} s`,
        `${compared.objects} objects, ${mib(compared.bytes)} MiB`,
        `killed source ${kills.source - before.kills.source}, destination ${kills.destination - before.kills.destination}, ` +
          `s3migrate ${SIGKILL + SIGTERM - before.runs.SIGKILL - before.runs.SIGTERM}`,
        `storms ${sum(storms) - sum(before.storms)}`,
        `starts ${starts - before.runs.starts}, stopped ${stopped - before.runs.stopped}`,
        `failed and retried ${retried - before.retried}`,
        `uploads aborted ${aborted - before.aborted}`,
        `violations ${this.violations.length}`,
      ].join('; '),
    );
  }

  tell() {
    const { rounds, kills, storms, objects, bytes, retried, aborted } = this.counts;
    const { starts, SIGKILL, SIGTERM, stopped } = this.runs.counts;
    const { source, destination } = this.sides;
    const refused = source.proxy.counts.refused + destination.proxy.counts.refused;
    const reset = source.proxy.counts.reset + destination.proxy.counts.reset;
    const quarters = memoryByQuarter(this.runs.samples, [this.#beganAt, Date.now()]);
    console.log('\nquarter  processes  mean MiB  max MiB');
    for (const [index, { processes, mean, max }] of quarters.entries()) {
      const cells = [String(processes).padStart(9), mean.padStart(8), max.padStart(7)];
      console.log(`${String(index + 1).padStart(7)}  ${cells.join('  ')}`);
    }
    console.log(
      `\nrounds ${rounds}\n` +
        `kills: source ${kills.source}, destination ${kills.destination}, s3migrate SIGKILL ${SIGKILL}, SIGTERM ${SIGTERM}\n` +
        `storms: 503 ${storms[503]} (${refused} requests refused), reset ${storms.reset} (${reset} connections), stall ${storms.stall}\n` +
        `s3migrate: ${starts} starts, ${stopped} stopped by themselves with 3\n` +
        `compared equal: ${objects} objects, ${mib(bytes)} MiB\n` +
        `failed, then retried ${retried}; uploads aborted by cleanup ${aborted}\n` +
        `peak memory: first quarter ${quarters[0].max} MiB, last quarter ${quarters.at(-1).max} MiB\n` +
        `server's own ${this.serversOwn.length}, violations ${this.violations.length}`,
    );
    for (const line of this.serversOwn.slice(0, SHOWN)) console.log(`server's own: ${line}`);
    for (const line of this.violations.slice(0, SHOWN)) console.log(`VIOLATION: ${line}`);
  }

  /** @throws Error with what makes this soak a failure */
  judge() {
    const { kills, objects } = this.counts;
    const { SIGKILL, SIGTERM } = this.runs.counts;
    if (this.violations.length > 0) {
      throw new Error(`${this.violations.length} violations; all is kept in ${this.folder}`);
    }
    if (kills.source === 0 || kills.destination === 0 || SIGKILL + SIGTERM === 0) {
      throw new Error('something was never killed: give it more --minutes');
    }
    if (objects === 0) throw new Error('nothing was copied');
  }
}

/** @returns what it prints @throws Misbehaviour when it ends with anything but 0 */
async function ours(words, env = {}) {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [OURS, ...words], {
      env: { ...toolEnvironment({}), ...env },
    });
    return stdout;
  } catch (error) {
    throw new Misbehaviour(`s3migrate ${words[0]} ended with ${error.code}: ${error.stderr}`);
  }
}

function linesByKey(passes) {
  const all = new Map();
  for (const [key, line] of passes.flatMap(({ lines }) => [...lines])) {
    all.set(key, [...(all.get(key) ?? []), line]);
  }
  return all;
}

function memoryByQuarter(samples, [from, to]) {
  return Array.from({ length: QUARTERS }, (_, quarter) => {
    const of = samples.filter(
      ({ at }) => Math.floor(((at - from) / (to - from)) * QUARTERS) === quarter,
    );
    const kibs = of.map(({ kib }) => kib);
    return {
      processes: new Set(of.map(({ pid }) => pid)).size,
      mean: mib((kibs.reduce((total, kib) => total + kib, 0) / Math.max(kibs.length, 1)) * 1024),
      max: mib(Math.max(0, ...kibs) * 1024),
    };
  });
}

const mib = (bytes) => (bytes / 1024 ** 2).toFixed(0);
const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

function givenNumber(name, text) {
  const number = Number(text);
  if (!(number > 0)) refuseUsage(`--${name} is not a number above 0: ${text}`);
  return number;
}

const OPTIONS = {
  minutes: { type: 'string', default: '30' },
  seed: { type: 'string', default: String((Date.now() % 1_000_000) + 1) },
};

await runBench({ usage: '[--minutes 30] [--seed S]', options: OPTIONS }, async ({ values }) => {
  const minutes = givenNumber('minutes', values.minutes);
  const seed = givenNumber('seed', values.seed);
  console.log(`seed ${seed}`);
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-soak-'));
  const source = await side('minio', join(folder, 'source'));
  const destination = await side('versitygw', join(folder, 'destination'));
  const soak = new Soak({ folder, sides: { source, destination }, random: new Random(seed) });
  const end = () => {
    soak.runs.end();
    for (const { server, proxy } of [source, destination]) {
      server.end();
      proxy.close();
    }
  };
  process.on('exit', end);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  await soak.prepare();
  try {
    await soak.run(minutes);
  } catch (error) {
    if (!(error instanceof Misbehaviour)) throw error;
    soak.violations.push(error.message);
  } finally {
    end();
  }
  soak.tell();
  soak.judge();
  await rm(folder, { recursive: true });
});

async function side(kind, root) {
  const server = await SoakServer.start(kind, root);
  return { server, proxy: await SoakProxy.start(server.port) };
}
