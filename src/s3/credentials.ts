/**
 * Where the credentials of a bucket come from: given by the operator, or had from a provider that renews them.
 *
 * Providers are the AWS SDK's, loaded only when one is asked for, and a file. What they give is checked before
 * anything is signed with it. No message has a secret in it, nor what a program of the operator's has printed.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { MigrateError, messageOf, withoutSecrets } from '../errors.ts';
import { displayText } from '../object-key.ts';
import type { Credentials } from '../wire/signature.ts';
import { Keyring, type TemporaryCredentials } from './keyring.ts';

/** Who provides credentials, and renews them. */
export type CredentialsProvider =
  /** The default chain of the AWS SDK: environment, shared files, web identity, container, instance. */
  | { readonly from: 'aws' }
  /** A profile of the shared config and credentials files, whatever it says: keys, a role, a process, SSO. */
  | { readonly from: 'profile'; readonly profile: string }
  /** A JSON file as a credential_process prints it. */
  | { readonly from: 'file'; readonly path: string };

/** Keys as given, which nobody renews, or who provides them. */
export type BucketCredentials = Credentials | CredentialsProvider;

export function isProvided(credentials: BucketCredentials): credentials is CredentialsProvider {
  return 'from' in credentials;
}

/** What can go into a header: a line break, as pasted text has, must not get there. */
export const CREDENTIAL_TEXT = /^[\x21-\x7e]+$/;

/** What a store says may be shown and logged: one that repeats the credentials must not get them there. */
export function withoutCredentials(text: string, { secret, sessionToken }: Credentials): string {
  return withoutSecrets(text, sessionToken === undefined ? [secret] : [secret, sessionToken]);
}

/**
 * What an operator should look at when a store refuses the credentials, as the beginning of a sentence.
 *
 * @param flag - the name of a flag of the bucket: `--src-key` for `key`
 */
export function credentialsToCheck(
  credentials: BucketCredentials,
  flag: (name: string) => string,
): string {
  if (isProvided(credentials)) {
    return `Check the credentials of ${flag('credentials')} ${nameOf(credentials)}`;
  }
  const token = credentials.sessionToken === undefined ? [] : [flag('session-token')];
  return `Check ${[flag('key'), flag('secret'), ...token].join(' and ')}`;
}

/** As it is given behind its flag. */
function nameOf(provider: CredentialsProvider): string {
  switch (provider.from) {
    case 'aws':
      return 'aws';
    case 'profile':
      return `profile=${displayText(provider.profile)}`;
    case 'file':
      return `file=${displayText(provider.path)}`;
  }
}

export interface ProviderPatience {
  /** Waits before a provider that has failed in the middle of a run is asked again, in ms. */
  readonly waitsMs: readonly number[];
  /** How long one answer may take, in ms. */
  readonly limitMs: number;
}

const PATIENCE: ProviderPatience = { waitsMs: [500, 1_000, 2_000], limitMs: 60_000 };

/**
 * @param flag - the flag that names the provider, for messages: `--src-credentials`
 * @throws MigrateError (3) when the provider has none, at once now, after a few more attempts when it is asked
 *   for newer ones
 */
export async function openKeyring(
  provider: CredentialsProvider,
  flag: string,
  patience: ProviderPatience = PATIENCE,
): Promise<Keyring> {
  const askProvider = await load(provider);
  const ask = async (waitsMs: readonly number[]): Promise<TemporaryCredentials> => {
    for (let attempt = 0; ; attempt++) {
      try {
        return checked(await inTime(askProvider(), patience.limitMs));
      } catch (error) {
        const waitMs = waitsMs[attempt];
        if (waitMs === undefined) throw noCredentials(provider, flag, error);
        await delay(waitMs);
      }
    }
  };
  return new Keyring(await ask([]), { ask: () => ask(patience.waitsMs), now: Date.now });
}

type Ask = () => Promise<TemporaryCredentials>;

async function load(provider: CredentialsProvider): Promise<Ask> {
  // Under Node 20 the SDK writes a warning of several lines into the middle of the progress line.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  // The files may have been changed since they were read last.
  const options = { ignoreCache: true, logger: SILENT };
  switch (provider.from) {
    case 'aws': {
      const { defaultProvider } = await import('@aws-sdk/credential-provider-node');
      const chain = defaultProvider(options);
      return async () => ofSdk(await chain({ forceRefresh: true }));
    }
    case 'profile': {
      const { fromIni } = await import('@aws-sdk/credential-provider-ini');
      const ofProfile = fromIni({ ...options, profile: provider.profile });
      return async () => ofSdk(await ofProfile());
    }
    case 'file':
      return () => readCredentials(provider.path);
  }
}

const silent = (): void => {};
/** What it has to say would go into the middle of the progress line. */
const SILENT = { debug: silent, info: silent, warn: silent, error: silent };

function ofSdk({
  accessKeyId,
  secretAccessKey,
  sessionToken,
  expiration,
}: {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}): TemporaryCredentials {
  return {
    accessKey: accessKeyId,
    secret: secretAccessKey,
    sessionToken,
    expiresAtMs: expiration?.getTime(),
  };
}

async function readCredentials(path: string): Promise<TemporaryCredentials> {
  const text = await readFile(path, 'utf8');
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    // The message of the parser would show what is in the file.
    throw new Error('it is not JSON');
  }
  const field = (name: string): string | undefined => {
    const value = (given as Readonly<Record<string, unknown>> | null)?.[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const accessKey = field('AccessKeyId');
  const secret = field('SecretAccessKey');
  if (accessKey === undefined || secret === undefined) {
    throw new Error('it has no AccessKeyId or no SecretAccessKey');
  }
  const expiration = field('Expiration');
  const expiresAtMs = expiration === undefined ? undefined : Date.parse(expiration);
  return { accessKey, secret, sessionToken: field('SessionToken'), expiresAtMs };
}

function checked(given: TemporaryCredentials): TemporaryCredentials {
  const { accessKey, secret, sessionToken, expiresAtMs } = given;
  for (const text of [accessKey, secret, ...(sessionToken === undefined ? [] : [sessionToken])]) {
    if (!CREDENTIAL_TEXT.test(text)) {
      throw new Error('they hold a blank, a line break or a character that is not ASCII');
    }
  }
  if (expiresAtMs === undefined) return given;
  if (Number.isNaN(expiresAtMs)) throw new Error('their Expiration is no date');
  if (expiresAtMs <= Date.now()) {
    throw new Error(`they have expired at ${new Date(expiresAtMs).toISOString()}`);
  }
  return given;
}

async function inTime<T>(answer: Promise<T>, limitMs: number): Promise<T> {
  const over = new AbortController();
  const late = delay(limitMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${limitMs / 1000} s`);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    over.abort();
    late.catch(() => {});
  }
}

/** What a credential_process prints, and the command itself, may hold secrets: neither is shown. */
const FAILED_COMMAND = /^Command failed/;

function noCredentials(provider: CredentialsProvider, flag: string, error: unknown): MigrateError {
  const said = messageOf(error);
  const reason = FAILED_COMMAND.test(said)
    ? 'its credential_process has failed'
    : displayText(said);
  return new MigrateError(`no credentials from ${flag} ${nameOf(provider)}: ${reason}`, {
    exitCode: 3,
    hint: `${HINTS[provider.from]} Then give the same command again.`,
  });
}

const HINTS: Readonly<Record<CredentialsProvider['from'], string>> = {
  aws: 'Mend what the AWS SDK looks for: AWS_* variables, ~/.aws/config and credentials, or the role of this host.',
  profile:
    'Look at this profile in ~/.aws/config and ~/.aws/credentials, and run its credential_process by hand.',
  file: 'It must be JSON with AccessKeyId, SecretAccessKey and, if there are, SessionToken and Expiration, and be replaced before that.',
};
