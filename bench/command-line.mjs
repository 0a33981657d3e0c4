/**
 * The command line of a bench: what is wrong with it, and what goes wrong later, is one line and an exit code.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';

class UsageError extends Error {}

/** @throws with this message in front of the usage: the command line is wrong */
export function refuseUsage(message) {
  throw new UsageError(message);
}

/**
 * Runs a bench. Exit code 2 when its command line is wrong, 1 when it fails: not all was copied, a
 * program ended badly.
 *
 * @param usage what follows `node bench/NAME.mjs`
 * @param run is given `values` and `positionals` of node:util's parseArgs
 */
export async function runBench({ usage, options = {} }, run) {
  const name = basename(process.argv[1]);
  try {
    await run(parsed(options));
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${name}: ${error.message}; usage: node bench/${name} ${usage}`);
      process.exitCode = 2;
    } else {
      console.error(`${name}: ${error.message}`);
      process.exitCode = 1;
    }
  }
}

function parsed(options) {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error.message.split('.')[0], { cause: error });
  }
}
