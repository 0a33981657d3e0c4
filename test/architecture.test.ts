/**
 * The walls: which part of src/ may know which. ARCHITECTURE.md gives the reasons; this keeps them true.
 *
 * A violation is told as `file imports what: rule`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const STAGES = ['lists', 'plan', 'transfer', 'verify', 'record', 'report'];
const WORDS = ['domain.ts', 'findings.ts', 'object-key.ts', 'errors.ts', 'awake-clock.ts'];
/** They join the stages, each for one command. */
const JOINTS = [
  'migrate.ts',
  'rehearsal.ts',
  'run-inputs.ts',
  'run-notes.ts',
  'run-uploads.ts',
  'verification.ts',
];

/** What each area of src/ must not import of the rest of src/; an area is a folder, or a file beside them. */
const WALLS: readonly {
  readonly of: readonly string[];
  readonly forbids: (area: string) => boolean;
  readonly rule: string;
}[] = [
  {
    of: STAGES,
    forbids: (area) => STAGES.includes(area) || JOINTS.includes(area) || area === 'cli',
    rule: 'stages know neither each other nor who joins them; what crosses is in domain.ts',
  },
  {
    of: ['wire'],
    forbids: (area) => !WORDS.includes(area),
    rule: 'the wire knows HTTP and S3 signatures, not what is done with them',
  },
  {
    of: ['s3-server'],
    forbids: (area) => !WORDS.includes(area),
    rule: 'the embedded server shares nothing with the client but the words, or one would hide the mistakes of the other',
  },
  {
    of: ['s3'],
    forbids: (area) => area === 's3-server' || JOINTS.includes(area) || area === 'cli',
    rule: 'the store does not know who uses it',
  },
  {
    of: ['load'],
    forbids: (area) => ![...WORDS, 's3', 'wire'].includes(area),
    rule: 'how much a store is asked for does not depend on what for',
  },
  {
    of: WORDS,
    forbids: (area) => !WORDS.includes(area),
    rule: 'the shared words depend on nothing',
  },
  {
    of: JOINTS,
    forbids: (area) => area === 'cli',
    rule: 'a run does not know how it was asked for',
  },
];

const PACKAGE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-s3': ['s3'],
  '@aws-sdk/credential-provider-ini': ['s3'],
  '@aws-sdk/credential-provider-node': ['s3'],
  'cli-progress': ['report'],
  commander: ['cli'],
  'fast-csv': ['lists', 'record'],
  'p-limit': ['transfer'],
  'xxhash-wasm': ['plan'],
};

/** The process belongs to src/cli; below it, streams, time and signals are arguments. */
const PROCESS_USE =
  /\bprocess\.(?:env(?:\.\w+)?|argv|exit|exitCode|stdin|stdout|stderr|title|on|once)\b|'node:process'|\bconsole\./g;

/** What an area may do with the process all the same. */
const PROCESS_EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  // The SDK has no other switch for the warning it prints into the progress line under Node 20.
  s3: ['process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'],
};

/** @param file below src/, with `/` */
function violationsIn(file: string, source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  const found = importsOf(code).flatMap((specifier) =>
    brokenRules(file, specifier).map((rule) => `src/${file} imports ${specifier}: ${rule}`),
  );
  const area = areaOf(file);
  if (area === 'cli') return found;
  const uses = (code.match(PROCESS_USE) ?? [])
    .filter((use) => !PROCESS_EXCEPTIONS[area]?.includes(use))
    .map((use) => `src/${file} uses ${use}: only src/cli touches the process`);
  return [...found, ...uses];
}

function importsOf(code: string): string[] {
  const statements = code.matchAll(
    /^(?:import|export)\s(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...statements].map(([, stated, dynamic]) => stated ?? dynamic ?? '');
}

function brokenRules(file: string, specifier: string): string[] {
  const own = areaOf(file);
  if (specifier.startsWith('node:')) return [];
  if (!specifier.startsWith('.')) {
    const owners = PACKAGE_OWNERS[specifier];
    if (owners === undefined) return ['not one of the eight packages this project runs on'];
    return owners.includes(own) ? [] : [`this package belongs to src/${owners.join(' and src/')}`];
  }
  const area = areaOf(posix.join(posix.dirname(file), specifier));
  if (area === own) return [];
  return WALLS.filter((wall) => wall.of.includes(own) && wall.forbids(area)).map(
    (wall) => wall.rule,
  );
}

function areaOf(file: string): string {
  return file.split('/')[0] ?? file;
}

const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((path) => ({
    file: relative(join(ROOT, 'src'), path).split(sep).join('/'),
    source: readFileSync(path, 'utf8'),
  }));

it('keeps every file of src/ within its walls', () => {
  expect(sources.length).toBeGreaterThan(0);
  expect(sources.flatMap(({ file, source }) => violationsIn(file, source))).toEqual([]);
});

it('gives every runtime package an owner', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  expect(Object.keys(PACKAGE_OWNERS).toSorted()).toEqual(Object.keys(dependencies).toSorted());
});

describe('the check itself', () => {
  it.each([
    ['plan/join.ts', "import { readLists } from '../lists/read.ts';", 'stages know neither'],
    ['plan/join.ts', "import type { Run } from '../migrate.ts';", 'stages know neither'],
    ['report/a/b.ts', "export * from '../../record/log.ts';", 'stages know neither'],
    ['record/log.ts', "import {\n  a,\n  b,\n} from '../cli/flags.ts';", 'stages know neither'],
    ['wire/tls.ts', "const t = await import('../transfer/pool.ts');", 'the wire knows HTTP'],
    ['s3-server/a.ts', "import { sign } from '../wire/signature.ts';", 'shares nothing'],
    [
      's3/store.ts',
      "import { server } from '../s3-server/server.ts';",
      'does not know who uses it',
    ],
    ['domain.ts', "import { Page } from './lists/page.ts';", 'depend on nothing'],
    ['migrate.ts', "import { flags } from './cli/flags.ts';", 'how it was asked for'],
    ['plan/shard.ts', "import pLimit from 'p-limit';", 'belongs to src/transfer'],
    ['plan/shard.ts', "import 'left-pad';", 'not one of the eight packages'],
    ['plan/shard.ts', 'if (bad) process.exit(1);', 'only src/cli touches the process'],
    ['s3/store.ts', 'const { HOME } = process.env;', 'only src/cli touches the process'],
    ['s3/store.ts', 'process.env.HOME', 'uses process.env.HOME: only src/cli'],
    ['report/line.ts', 'console.error(line);', 'only src/cli touches the process'],
  ])('finds what is wrong in %s: %s', (file, source, rule) => {
    expect(violationsIn(file, source)).toEqual([expect.stringContaining(rule)]);
  });

  it.each([
    ['plan/join.ts', "import type { KeyPage } from '../domain.ts';\nimport { x } from './x.ts';"],
    ['plan/shard.ts', "import xxhash from 'xxhash-wasm';\nimport { join } from 'node:path';"],
    ['migrate.ts', "import { readLists } from './lists/read.ts';"],
    ['cli/main.ts', "import { migrate } from '../migrate.ts';\nprocess.exitCode = 3;"],
    ['report/line.ts', '/** Never calls process.exit. */\nconst a = 1; // nor console.log'],
  ])('finds nothing wrong in %s: %s', (file, source) => {
    expect(violationsIn(file, source)).toEqual([]);
  });
});
