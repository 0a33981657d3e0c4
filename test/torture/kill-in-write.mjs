/**
 * Loaded into the program before it (node --import): kills it inside what it does to its log folder.
 *
 * The only files that s3migrate opens for writing are those of its log folder, and it does so through
 * node:fs/promises. Each write, sync, truncation, renaming and removal is a step. S3MIGRATE_TORTURE_KILL says
 * `before 7`, `half 7` or `after 7`: the seventh step is not done, done by half where it is a write, or done, and
 * then SIGKILL comes.
 */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const [edge, nth] = (process.env.S3MIGRATE_TORTURE_KILL ?? '').split(' ');
let steps = 0;

/** Puts a step in place of a function of `owner`; `half` does half of what it was asked for. */
function intercept(owner, name, half) {
  const original = owner[name];
  owner[name] = async function step(...args) {
    steps++;
    if (steps !== Number(nth)) return original.apply(this, args);
    if (edge === 'half') await half?.call(this, original, args);
    if (edge === 'after') await original.apply(this, args);
    process.kill(process.pid, 'SIGKILL');
    // The signal may take a moment: nothing else is done in it.
    return new Promise(() => {});
  };
}

async function halfOfWrite(
  write,
  [bytes, offset = 0, length = bytes.length - offset, position = null],
) {
  await write.call(this, bytes, offset, Math.ceil(length / 2), position);
}

if (isMainThread) {
  const file = await fs.open('/dev/null');
  const handles = Object.getPrototypeOf(file);
  await file.close();
  intercept(handles, 'write', halfOfWrite);
  for (const name of ['sync', 'datasync', 'truncate']) intercept(handles, name);
  for (const name of ['rename', 'rm', 'rmdir', 'link']) intercept(fs, name);
  syncBuiltinESMExports();
}
