/**
 * Planted into the program by NODE_OPTIONS=--import: on SIGUSR2 it writes to PLANTED_FILE what a child process, a
 * worker thread and the process itself see of environment and arguments.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { isMainThread, Worker } from 'node:worker_threads';

const file = process.env.PLANTED_FILE;

if (isMainThread) {
  process.on('SIGUSR2', () => {
    appendFileSync(file, execFileSync('env', { encoding: 'utf8' }));
    appendFileSync(file, `${process.argv.join(' ')} ${process.execArgv.join(' ')}\n`);
    const source = `require('node:worker_threads').parentPort.postMessage(JSON.stringify([process.env, process.argv]))`;
    new Worker(source, { eval: true }).on('message', (seen) =>
      appendFileSync(file, `${seen}\nover\n`),
    );
  });
}
