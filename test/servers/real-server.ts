/**
 * Real S3 servers as processes of this machine: MinIO, and versitygw over a folder of files.
 *
 * Each listens on the loopback address, on a free port, and keeps everything in a temporary folder. It
 * ends with whoever has started it.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Client } from '@aws-sdk/client-s3';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

export const SERVER_KINDS = ['minio', 'versitygw'] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

export const CREDENTIALS = { accessKey: 'user1', secret: 'password123' };

/** Ports are found free and then taken: another process may be quicker. */
const START_ATTEMPTS = 3;
const START_TIMEOUT_MS = 30_000;
/** A server does not tell when it is ready: it is asked. */
const ASK_EVERY_MS = 50;

/** @throws Error with what the server printed when it does not come up */
export async function startRealServer(kind: ServerKind): Promise<RealServer> {
  for (let attempt = 1; ; attempt++) {
    const root = await mkdtemp(join(tmpdir(), `s3migrate-${kind}-`));
    const server = new RealServer(kind, { root, port: await freePort() });
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  listener.close();
  await once(listener, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export class RealServer {
  readonly kind: ServerKind;
  readonly port: number;
  /** An independent client, with Amazon's own defaults. */
  readonly client: S3Client;
  readonly #root: string;
  #process: ChildProcess | undefined;
  #printed = '';

  constructor(kind: ServerKind, { root, port }: { root: string; port: number }) {
    this.kind = kind;
    this.port = port;
    this.#root = root;
    this.client = new S3Client({
      endpoint: this.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secret },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /**
   * Where a bucket is on the disk. An object whose key has no slash makes one entry there: of versitygw
   * it is the object's file.
   */
  bucketFolder(bucket: string): string {
    return join(this.#dataFolder, bucket);
  }

  /** For {@link startRealServer}. */
  async start(): Promise<void> {
    await mkdir(this.#dataFolder);
    const command = this.kind === 'minio' ? this.#minio() : await this.#versitygw();
    const child = spawn(programPath(this.kind), command.args, {
      cwd: this.#root,
      env: { ...process.env, ...command.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        this.#printed = (this.#printed + text).slice(-10_000);
      });
    }
    const giveUp = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!(await this.#isReady())) {
      if (child.exitCode !== null || giveUp.aborted) {
        throw new Error(`${this.kind} does not come up:\n${this.#printed}`);
      }
      await sleep(ASK_EVERY_MS);
    }
  }

  /** Ends the process and removes all it kept. */
  async stop(): Promise<void> {
    this.client.destroy();
    const child = this.#process;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await rm(this.#root, { recursive: true });
  }

  get #dataFolder(): string {
    return join(this.#root, 'data');
  }

  #minio(): ServerCommand {
    return {
      args: ['server', this.#dataFolder, '--address', `127.0.0.1:${this.port}`, '--quiet'],
      env: {
        MINIO_ROOT_USER: CREDENTIALS.accessKey,
        MINIO_ROOT_PASSWORD: CREDENTIALS.secret,
        MINIO_BROWSER: 'off',
      },
    };
  }

  async #versitygw(): Promise<ServerCommand> {
    const users = join(this.#root, 'users');
    // Not every file system a temporary folder may be on has extended attributes.
    const metadata = join(this.#root, 'metadata');
    await mkdir(users);
    await mkdir(metadata);
    const posix = ['posix', '--sidecar', metadata, this.#dataFolder];
    return {
      args: ['--port', `127.0.0.1:${this.port}`, '--iam-dir', users, ...posix],
      env: { ROOT_ACCESS_KEY: CREDENTIALS.accessKey, ROOT_SECRET_KEY: CREDENTIALS.secret },
    };
  }

  async #isReady(): Promise<boolean> {
    const path = this.kind === 'minio' ? '/minio/health/ready' : '/';
    try {
      const answer = await fetch(this.url + path);
      await answer.body?.cancel();
      // The other one refuses whoever does not sign, but it answers.
      return this.kind === 'minio' ? answer.ok : true;
    } catch {
      return false;
    }
  }
}

interface ServerCommand {
  readonly args: string[];
  readonly env: Readonly<Record<string, string>>;
}

function programPath(kind: ServerKind): string {
  const install = join(import.meta.dirname, 'install');
  return execFileSync(install, [kind], { encoding: 'utf8' }).trim();
}
