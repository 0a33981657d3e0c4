/**
 * One real S3 server of bench/soak.mjs: it can be killed and started again over the same data, on the same
 * port. Programs are found as test/servers/install finds them.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { S3Client } from '@aws-sdk/client-s3';
import { ACCESS_KEY, flagsOf, SECRET_KEY } from './tools.mjs';

const INSTALL = fileURLToPath(new URL('../test/servers/install', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const ASK_EVERY_MS = 50;

const COMMANDS = {
  minio: ({ root, port }) => ({
    args: ['server', join(root, 'data'), '--address', `127.0.0.1:${port}`, '--quiet'],
    env: { MINIO_ROOT_USER: ACCESS_KEY, MINIO_ROOT_PASSWORD: SECRET_KEY, MINIO_BROWSER: 'off' },
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/minio/health/ready`)).ok,
  }),
  versitygw: ({ root, port }) => ({
    args: [
      ...flagsOf('', { port: `127.0.0.1:${port}`, 'iam-dir': join(root, 'users') }),
      'posix',
      ...flagsOf('', { sidecar: join(root, 'metadata') }),
      join(root, 'data'),
    ],
    env: { ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY },
    // It refuses whoever does not sign, but it answers.
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/`)) !== undefined,
  }),
};

export class SoakServer {
  /** When it was killed, in ms since the epoch. */
  killedAt = [];
  /** An independent client, with Amazon's own defaults, that goes to the server itself. */
  client;
  port;
  #kind;
  #root;
  #program;
  #process;

  constructor(kind, { root, port }) {
    this.#kind = kind;
    this.#root = root;
    this.#program = execFileSync(INSTALL, [kind], { encoding: 'utf8' }).trim();
    this.port = port;
    this.client = new S3Client({
      endpoint: this.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    });
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @returns it when it answers @throws with what it printed when it does not come up */
  static async start(kind, root) {
    for (const name of ['data', 'users', 'metadata']) {
      await mkdir(join(root, name), { recursive: true });
    }
    const server = new SoakServer(kind, { root, port: await freePort() });
    await server.start();
    return server;
  }

  async start() {
    const { args, env, isReady } = COMMANDS[this.#kind]({ root: this.#root, port: this.port });
    const child = spawn(this.#program, args, {
      cwd: this.#root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    let printed = '';
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (text) => {
        printed = (printed + text).slice(-4000);
      });
    }
    const giveUp = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!(await isReady().catch(() => false))) {
      if (child.exitCode !== null || giveUp.aborted) {
        throw new Error(`${this.#kind} does not come up: ${printed}`);
      }
      await sleep(ASK_EVERY_MS);
    }
  }

  /** `kill -9`; returns when the process is gone. */
  async kill() {
    const exited = once(this.#process, 'exit');
    this.killedAt.push(Date.now());
    this.#process.kill('SIGKILL');
    await exited;
  }

  /** At once, for the end of the soak. */
  end() {
    this.client.destroy();
    this.#process?.kill('SIGKILL');
  }
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}
