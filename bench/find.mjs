/**
 * s3find against `find DIR -type f | LC_ALL=C sort | split -l 100000`, on a tree of 300,000 files.
 *
 *   npm run build && node bench/find.mjs [rounds]
 *
 * Both run in turn, so that both meet the same machine; the first round only fills the caches. Prints
 * the median of each and their ratio (above 1: s3find is slower), for directories of 100, 1,000 and
 * 10,000 files, and checks that both list the same.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES = 300_000;
const SHAPES = [100, 1_000, 10_000];
const rounds = Number(process.argv[2] ?? 7);
const program = fileURLToPath(new URL('../bin/s3find', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'bench-find-'));
const lists = join(home, 'lists');

function makeTree(tree, filesPerDirectory) {
  for (let d = 0; d < FILES / filesPerDirectory; d++) {
    const album = join(tree, String(2000 + (d % 25)), `album-${String(d).padStart(5, '0')}`);
    mkdirSync(album, { recursive: true });
    for (let f = 0; f < filesPerDirectory; f++) {
      closeSync(openSync(join(album, `IMG_${String(f).padStart(6, '0')}.jpg`), 'w'));
    }
  }
}

const contenders = {
  s3find: (tree) => execFileSync(process.execPath, [program, tree, lists], { stdio: 'ignore' }),
  pipeline: (tree) => {
    mkdirSync(lists);
    const script = 'cd "$1" && find . -type f | LC_ALL=C sort | split -l 100000 - "$2"/';
    execFileSync('sh', ['-c', script, 'sh', tree, lists]);
  },
};

/** Milliseconds, and a digest of what was listed. */
function timed(run, tree) {
  const beganMs = performance.now();
  run(tree);
  const ms = performance.now() - beganMs;
  const script = 'cat "$1"/* | sed "s#^[.]/##" | cksum';
  const listed = execFileSync('sh', ['-c', script, 'sh', lists]).toString();
  rmSync(lists, { recursive: true });
  return { ms, listed };
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

try {
  for (const filesPerDirectory of SHAPES) {
    const tree = join(home, `tree-${filesPerDirectory}`);
    makeTree(tree, filesPerDirectory);
    const times = { s3find: [], pipeline: [] };
    for (let round = 0; round <= rounds; round++) {
      const listed = new Set();
      for (const [name, run] of Object.entries(contenders)) {
        const result = timed(run, tree);
        listed.add(result.listed);
        if (round > 0) times[name].push(result.ms);
      }
      if (listed.size > 1) throw new Error('s3find and the pipeline list different files');
    }
    const [ours, theirs] = [median(times.s3find), median(times.pipeline)];
    console.log(
      `${FILES} files, ${filesPerDirectory} to a directory: s3find ${ours.toFixed(0)} ms, ` +
        `find | sort | split ${theirs.toFixed(0)} ms, ratio ${(ours / theirs).toFixed(2)}`,
    );
    rmSync(tree, { recursive: true });
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
