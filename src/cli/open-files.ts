/**
 * As many objects at once as the system's limit of open files allows: a run that met it in the middle could not
 * even write its logs any more.
 */
import { readFileSync } from 'node:fs';

/** The program itself, its logs and lists, and the connections of the probe. */
const FILES_BESIDES = 64;
const FILES_A_CORE = 8;
/** Two connections an object, and as many for the parts of large ones. */
const FILES_A_THREAD = 4;

/**
 * Fewer threads, and no more cores than those, where the limit is too low; told on standard error. Node has raised the
 * limit to the hard one (`ulimit -Hn`) by then.
 */
export function withinOpenFiles<Options extends { threads: number; cores?: number }>(
  options: Options,
): Options {
  const { threads, cores = 1 } = options;
  const limit = openFilesLimit();
  const room = Math.floor((limit - FILES_BESIDES - FILES_A_CORE * cores) / FILES_A_THREAD);
  const fitting = Math.max(1, room);
  if (fitting >= threads) return options;
  process.stderr.write(
    `s3migrate: warning: this process may open ${limit} files only: --threads ${fitting} instead of ${threads} (raise the limit: ulimit -Hn)\n`,
  );
  return {
    ...options,
    threads: fitting,
    ...('cores' in options && { cores: Math.min(cores, fitting) }),
  };
}

/** Infinite where the system does not tell. */
function openFilesLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    const soft = /^Max open files +([0-9]+)/m.exec(limits)?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
