/**
 * How each tool is told to copy bucket `src` of one server to bucket `dest` of another.
 *
 * Public tools are taken from the folder that S3_TOOLS names, else from PATH. All get as many transfers
 * at once as s3migrate has by default, and keep their own checks on, but for those called `-unchecked`.
 */
import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program under test. */
export const OURS = fileURLToPath(new URL('../bin/s3migrate', import.meta.url));
export const ACCESS_KEY = 'user1';
export const SECRET_KEY = 'password123';
const THREADS = '64';

/** For all tools: secrets, and the authority to trust where programs in Go and Rust look for it. */
export function toolEnvironment({ caFile }) {
  return {
    ...process.env,
    S3MIGRATE_SRC_SECRET: SECRET_KEY,
    S3MIGRATE_DEST_SECRET: SECRET_KEY,
    ...(caFile && { SSL_CERT_FILE: caFile }),
  };
}

const UNCHECKED_RCLONE = [
  's3-no-head',
  's3-no-head-object',
  'fast-list',
  'no-traverse',
  's3-disable-checksum',
  'ignore-checksum',
  'size-only',
  'no-check-dest',
].map((name) => `--${name}`);
const UNCHECKED_S3SYNC = [
  'disable-tagging',
  'disable-content-md5-header',
  'disable-etag-verify',
  'disable-payload-signing',
].map((name) => `--${name}`);

const COMMANDS = {
  ours: (servers, work) => [...oursCommand(servers, work), '--threads', THREADS],
  rclone: (servers, _work, program) => [program, 'copy', ...rcloneWords(servers)],
  'rclone-unchecked': (servers, _work, program) => [
    program,
    'copy',
    ...UNCHECKED_RCLONE,
    ...rcloneWords(servers),
  ],
  mc: (servers, { folder }, program) => {
    const home = join(folder, 'mc');
    writeAliases(home, servers);
    return [program, '-q', '--config-dir', home, 'mirror', 'a/src', 'b/dest'];
  },
  s3sync: (servers, _work, program) => [program, ...s3syncWords(servers)],
  's3sync-unchecked': (servers, _work, program) => [
    program,
    ...UNCHECKED_S3SYNC,
    ...s3syncWords(servers),
  ],
};

export const TOOL_NAMES = Object.keys(COMMANDS);

/**
 * The command of s3migrate without `--threads`, its lists written anew where they are not there, its log
 * folder empty.
 *
 * @param work `folder`, the `objects` that the source's list names, and `there`: whether the
 *   destination's list names number i too, none of them unless given
 */
export function oursCommand(servers, { folder, objects, there = () => false, flags = [] }) {
  const log = join(folder, 'log');
  const [sourceList, destinationList] = ['src', 'dest'].map((side) => join(folder, side));
  for (const made of [log, sourceList, destinationList]) {
    rmSync(made, { recursive: true, force: true });
  }
  objects.writeLists(sourceList);
  objects.writeLists(destinationList, there);
  const side = (name, url, bucket, list) =>
    flagsOf(`${name}-`, {
      url,
      bucket,
      key: ACCESS_KEY,
      folder: list,
      ...(servers.caFile && { 'ca-file': servers.caFile }),
    });
  return [
    process.execPath,
    OURS,
    ...flagsOf('', { 'log-folder': log }),
    ...side('src', servers.source, 'src', sourceList),
    ...side('dest', servers.destination, 'dest', destinationList),
    ...flags,
  ];
}

function rcloneWords(servers) {
  const remote = (url, bucket) =>
    `:s3,provider=Minio,access_key_id=${ACCESS_KEY},secret_access_key=${SECRET_KEY},endpoint='${url}':${bucket}`;
  return [
    '-q',
    '--s3-no-check-bucket',
    ...flagsOf('', { transfers: THREADS, checkers: THREADS, config: '/dev/null' }),
    remote(servers.source, 'src'),
    remote(servers.destination, 'dest'),
  ];
}

function s3syncWords(servers) {
  const side = (name, url) => [
    `--${name}-force-path-style`,
    ...flagsOf(`${name}-`, {
      'endpoint-url': url,
      region: 'us-east-1',
      'access-key': ACCESS_KEY,
      'secret-access-key': SECRET_KEY,
    }),
  ];
  return [
    '-q',
    ...flagsOf('', { 'worker-size': THREADS }),
    ...side('source', servers.source),
    ...side('target', servers.destination),
    's3://src/',
    's3://dest/',
  ];
}

/** mc takes no endpoint on its command line. */
function writeAliases(home, servers) {
  const alias = (url) => ({
    url,
    accessKey: ACCESS_KEY,
    secretKey: SECRET_KEY,
    api: 's3v4',
    path: 'auto',
  });
  const aliases = { a: alias(servers.source), b: alias(servers.destination) };
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'config.json'), JSON.stringify({ version: '10', aliases }));
}

/** The words of a command line: `--`, the prefix and the name, then the value. */
export function flagsOf(prefix, values) {
  return Object.entries(values).flatMap(([name, value]) => [`--${prefix}${name}`, value]);
}

/** @returns undefined when the program of this tool is not on this machine */
export function toolCommand(name, servers, work) {
  const program = name === 'ours' ? OURS : programPath(name.replace('-unchecked', ''));
  return program === undefined ? undefined : COMMANDS[name](servers, work, program);
}

/**
 * Exit codes of a tool that has copied all. s3sync warns with 3 when it has made parts of an object whose
 * ETag is an MD5: the ETags differ then.
 */
export function acceptedCodes(name) {
  return name.startsWith('s3sync') ? [0, 3] : [0];
}

/** Where a public tool is; undefined when it is nowhere. */
export function programPath(name) {
  const folders = [process.env.S3_TOOLS, ...(process.env.PATH ?? '').split(delimiter)];
  return folders
    .filter((folder) => folder !== undefined && folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
