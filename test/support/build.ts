/**
 * Builds dist/ once before all tests: those of the command line run the built programs.
 *
 * Types are not checked here; `npm run typecheck` does, and a type error must not hide what the
 * tests have to say.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export default function build(): void {
  execFileSync('npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json', '--noCheck'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
