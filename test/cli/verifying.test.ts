/**
 * `s3migrate verify`: every difference between two buckets is found and told, and nothing else.
 */
import { hash } from 'node:crypto';
import { existsSync, watch } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../support/run-s3migrate.ts';
import { type Flags, gate, photo, utf8 } from './migration.ts';
import { prepareVerification, type Verification } from './verification.ts';

describe('two buckets', () => {
  it('that hold the same have no difference, and exit code 0', async () => {
    const verification = await prepareVerification();
    for (let i = 0; i < 30; i++) verification.putBoth(photo(i), `bytes of ${photo(i)}`);
    await verification.listBoth();
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toMatch(/^s3migrate: verified in \d+s: no difference$/m);
    expect(stderr).toContain('every listed key is accounted for');
    expect(await verification.log()).toEqual([]);
    expect(exitCode).toBe(0);
  });

  it('are only read: no request but HEAD reaches a key', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', 'x');
    verification.source.put('b', 'x');
    await verification.listBoth();
    await verification.run();
    for (const { script } of [verification.source, verification.destination]) {
      expect(script.requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'HEAD']);
    }
  });

  it('have each difference told once, in the order of the keys, and exit code 1', async () => {
    const verification = await prepareVerification();
    const { source, destination } = verification;
    verification.putBoth('e-same', 'same');
    verification.putBoth('f-refused', 'x');
    source.put('a-missing', 'four');
    destination.put('b-extra', 'fifth');
    source.put('c-truncated', '0123456789');
    destination.put('c-truncated', '01234');
    source.put('d-flipped', 'same length');
    destination.put('d-flipped', 'same lenGth');
    destination.script.on('HeadObject', 'f-refused').status(403, { code: 'AccessDenied' });
    await verification.listBoth();

    const { exitCode, stderr } = await verification.run();

    expect(await verification.log()).toEqual([
      'a-missing,+,missing,4,',
      'b-extra,-,missing,,5',
      'c-truncated,*,size,10,5',
      `d-flipped,*,etag,${md5('same length')},${md5('same lenGth')}`,
      'f-refused,!,HTTP 403,,status 403',
    ]);
    expect(stderr).toMatch(
      /^ {2}objects {3}obj 6: ign 0, same 1, unproven 0, \+ 1, - 1, \* 2, ! 1, gone 0$/m,
    );
    expect(stderr).toMatch(/^s3migrate: verified in \d+s: 5 objects DIFFER or cannot be read$/m);
    expect(stderr).toMatch(/^ {6}c-truncated: size$/m);
    expect(exitCode).toBe(1);
  });

  it('may have keys of any bytes, written as migrate.log writes them', async () => {
    const verification = await prepareVerification();
    for (const key of [utf8('é, "1"'), 'b\xff\n', 'a\\b']) verification.source.put(key, '');
    await verification.migration.writeList(
      'src',
      '00000.csv',
      String.raw`key
a\\b
b\xFF\n
"${utf8('é, ""1""')}"
`,
    );
    expect(await verification.run()).toMatchObject({ exitCode: 1 });
    expect(await verification.log()).toEqual([
      String.raw`a\\b,+,missing,0,`,
      String.raw`b\xFF\n,+,missing,0,`,
      `"${utf8('é, ""1""')}",+,missing,0,`,
    ]);
  });

  it('are asked, whatever the lists say about sizes and ETags', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', 'the same');
    const { migration } = verification;
    await migration.writeList('src', '00000.csv', 'key,size,etag\na,1,x\ngone,1,x\n');
    await migration.writeList('dest', '00000.csv', 'key,size,etag\na,2,y\n');
    const { exitCode, stderr } = await verification.run();
    expect(await verification.log()).toEqual([]);
    expect(stderr).toContain('1 listed object on neither side');
    expect(exitCode).toBe(0);
  });
});

describe('--one-way', () => {
  it('leaves out what only the destination has', async () => {
    const verification = await prepareVerification();
    verification.source.put('a', 'x');
    verification.destination.put('b', 'x');
    await verification.listBoth();
    expect(await verification.run({ 'one-way': true })).toMatchObject({ exitCode: 1 });
    expect(await verification.log()).toEqual(['a,+,missing,1,']);
  });
});

describe('--all', () => {
  it('tells of each object that is the same how that is known', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a-empty', '');
    verification.putBoth('b-etag', 'content');
    verification.putBoth('c-parts', 'content', { partBytes: 3 });
    verification.source.put('d-unproven', 'content');
    verification.destination.put('d-unproven', 'content', { partBytes: 3 });
    await verification.listBoth();

    const { exitCode, stderr } = await verification.run({ all: true });

    expect(await verification.log()).toEqual([
      'a-empty,=,empty,,',
      'b-etag,=,etag,,',
      'c-parts,=,etag,,',
      'd-unproven,=,unproven,,',
    ]);
    expect(stderr).toContain('same 3, unproven 1,');
    expect(stderr).toMatch(/^ {2}unproven {2}1 object of equal length .*--content/m);
    expect(exitCode).toBe(0);
  });
});

describe('ETags', () => {
  it('of as many parts are compared, those of other numbers of parts are not', async () => {
    const verification = await prepareVerification();
    const { source, destination } = verification;
    source.put('a', '0123456789', { partBytes: 4 });
    destination.put('a', '0123456x89', { partBytes: 4 });
    source.put('b', '0123456789', { partBytes: 4 });
    destination.put('b', '0123456789', { partBytes: 5 });
    await verification.listBoth();
    const { stderr } = await verification.run();
    expect(await verification.log()).toEqual([expect.stringMatching(/^a,\*,etag,\w+-3,\w+-3$/)]);
    expect(stderr).toContain('unproven 1,');
  });

  it('of encrypted objects are not compared', async () => {
    const verification = await prepareVerification();
    verification.source.put('a', 'content');
    verification.destination.put('a', 'content', { etag: 'f'.repeat(32) });
    verification.destination.script
      .on('HeadObject')
      .header('x-amz-server-side-encryption', 'aws:kms');
    await verification.listBoth();
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toContain('same 0, unproven 1,');
    expect(exitCode).toBe(0);
  });
});

describe('--metadata', () => {
  const headers = { 'content-type': 'image/jpeg', 'x-amz-meta-owner': utf8('Zoë') };

  it('compares each header and the tags, byte for byte', async () => {
    const verification = await prepareVerification();
    const { source, destination } = verification;
    const tags = new Map([
      ['project', 'a b'],
      ['stage', 'é'],
    ]);
    verification.putBoth('a-same', 'x', { headers, tags });
    source.put('b-cache', 'x', { headers: { ...headers, 'cache-control': 'no-cache' } });
    destination.put('b-cache', 'x', {
      headers: { ...headers, 'cache-control': 'max-age=60, public' },
    });
    source.put('c-expires', 'x', { headers: { ...headers, expires: 'tomorrow' } });
    destination.put('c-expires', 'x', { headers });
    source.put('d-owner-and-type', 'x', { headers });
    destination.put('d-owner-and-type', 'x', {
      headers: { 'content-type': 'text/plain', 'x-amz-meta-owner': 'Zo\xeb' },
    });
    source.put('e-tag', 'x', { headers, tags });
    destination.put('e-tag', 'x', { headers, tags: new Map([['project', 'a b']]) });
    await verification.listBoth();

    expect(await verification.run({ metadata: true })).toMatchObject({ exitCode: 1 });

    expect(await verification.log()).toEqual([
      'b-cache,*,metadata:cache-control,no-cache,"max-age=60, public"',
      'c-expires,*,metadata:expires,tomorrow,',
      'd-owner-and-type,*,metadata:content-type,image/jpeg,text/plain',
      `d-owner-and-type,*,metadata:x-amz-meta-owner,${utf8('Zoë')},Zo\\xEB`,
      'e-tag,*,tags,project=a+b&stage=%C3%A9,project=a+b',
    ]);
  });

  it('is left alone without the flag', async () => {
    const verification = await prepareVerification();
    verification.source.put('a', 'x', { headers, tags: new Map([['a', 'b']]) });
    verification.destination.put('a', 'x');
    await verification.listBoth();
    expect(await verification.run()).toMatchObject({ exitCode: 0 });
  });

  it('of tags that may not be read is an error, of a store without tags none', async () => {
    const verification = await prepareVerification();
    for (const key of ['a', 'b']) verification.putBoth(key, 'x');
    const { script } = verification.destination;
    script.on('GetObjectTagging', 'a').status(403, { code: 'AccessDenied', message: 'no' });
    script.on('GetObjectTagging', 'b').status(501, { code: 'NotImplemented' });
    await verification.listBoth();
    expect(await verification.run({ metadata: true })).toMatchObject({ exitCode: 1 });
    expect(await verification.log()).toEqual(['a,!,AccessDenied,,no']);
  });
});

describe('--content', () => {
  const large = Buffer.alloc(3_000_000, 'content ');

  function corrupted(offset: number): Buffer {
    const bytes = Buffer.from(large);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    return bytes;
  }

  it('all: finds the one byte that an ETag hides, and where it is', async () => {
    const verification = await prepareVerification();
    const { source, destination } = verification;
    verification.putBoth('a-same', large);
    source.put('b-forged', large);
    destination.put('b-forged', corrupted(2_345_678), { etag: hash('md5', large) });
    source.put('c-last', large);
    destination.put('c-last', corrupted(2_999_999), { etag: hash('md5', large) });
    source.put('d-small', 'abc');
    destination.put('d-small', 'xbc', { etag: md5('abc') });
    await verification.listBoth();

    const { exitCode, stderr } = await verification.run({ content: 'all' });

    expect(await verification.log()).toEqual([
      'b-forged,*,content,from byte 2345678 on,from byte 2345678 on',
      'c-last,*,content,from byte 2999999 on,from byte 2999999 on',
      'd-small,*,content,from byte 0 on,from byte 0 on',
    ]);
    expect(stderr).toMatch(/of content on each side/);
    expect(exitCode).toBe(1);
  });

  it('all: bytes that are the same count more than ETags that are not', async () => {
    const verification = await prepareVerification();
    verification.source.put('a', 'content');
    verification.destination.put('a', 'content', { etag: 'f'.repeat(32) });
    verification.source.put('b', 'content');
    verification.destination.put('b', 'content', { partBytes: 3 });
    await verification.listBoth();
    expect(await verification.run({ content: 'all', all: true })).toMatchObject({ exitCode: 0 });
    expect(await verification.log()).toEqual(['a,=,content,,', 'b,=,content,,']);
  });

  it('all: goes on behind what it has read when a connection breaks', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', large);
    const { source } = verification;
    source.script.on('GetObject').truncateAt(1_000_000).times(1);
    await verification.listBoth();
    expect(await verification.run({ content: 'all' })).toMatchObject({ exitCode: 0 });
    const ranges = source.script.requests
      .filter(({ operation }) => operation === 'GetObject')
      .map(({ headers: sent }) => sent.get('range'));
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-2999999$/)]);
  });

  it('all: looks again at an object that changes in the middle', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', large);
    const { source, destination } = verification;
    destination.script
      .on('GetObject')
      .before(() => {
        for (const side of [source, destination]) side.put('a', 'another one');
        return Promise.resolve();
      })
      .times(1);
    await verification.listBoth();
    expect(await verification.run({ content: 'all', all: true })).toMatchObject({ exitCode: 0 });
    expect(await verification.log()).toEqual(['a,=,content,,']);
  });

  it('sample: reads the same share of the keys on every host and in every run', async () => {
    const verification = await prepareVerification();
    for (let i = 0; i < 400; i++) verification.putBoth(photo(i), 'bytes');
    await verification.listBoth();
    const read = async (share: string, flags: Parameters<Verification['run']>[0] = {}) => {
      const { script } = verification.source;
      script.requests.length = 0;
      const folder = verification.migration.path(`logs-${share}-${flags['hash-value'] ?? ''}`);
      const ended = await verification.run({
        content: `sample=${share}`,
        'log-folder': folder,
        ...flags,
      });
      expect(ended.exitCode).toBe(0);
      const gets = script.requests.filter(({ method }) => method === 'GET');
      return gets.map(({ key }) => key).toSorted();
    };
    const tenth = await read('10%');
    const half = await read('50%');
    expect(tenth.length).toBeGreaterThan(15);
    expect(tenth.length).toBeLessThan(75);
    expect(half).toEqual(expect.arrayContaining(tenth));
    expect(half.length).toBeGreaterThan(150);
    const one = await read('10%', { 'hash-count': 2, 'hash-value': 0 });
    const other = await read('10%', { 'hash-count': 2, 'hash-value': 1 });
    expect([...one, ...other].toSorted()).toEqual(tenth);
  });
});

describe('errors that pass', () => {
  it('are tried again and tell nothing', async () => {
    const verification = await prepareVerification();
    for (let i = 0; i < 5; i++) verification.putBoth(photo(i), 'x');
    const { script } = verification.destination;
    script.on('HeadObject', photo(1)).status(503, { code: 'SlowDown' }).times(2);
    script.on('HeadObject', photo(2)).status(500).times(1);
    await verification.listBoth();
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toContain('3 repeated requests');
    expect(exitCode).toBe(0);
  });
});

describe('several hosts', () => {
  it('find together what one finds alone, and no key twice', async () => {
    const verification = await prepareVerification();
    for (let i = 0; i < 60; i++) {
      if (i % 3 !== 0) verification.source.put(photo(i), 'x');
      if (i % 3 !== 1) verification.destination.put(photo(i), 'x');
    }
    await verification.listBoth();
    await verification.run({ 'log-folder': verification.migration.path('alone') });
    const found: string[] = [];
    for (const value of [0, 1, 2]) {
      const folder = verification.migration.path(`host-${value}`);
      const flags = { 'hash-count': 3, 'hash-value': value, 'log-folder': folder };
      const { stderr, exitCode } = await verification.run(flags);
      expect(stderr).toContain('obj 60: ign ');
      expect(exitCode).toBe(1);
      found.push(...(await verification.log(folder)));
    }
    expect(found.toSorted()).toEqual(await verification.log(verification.migration.path('alone')));
  });
});

describe('a verification that was ended', () => {
  const KEYS = 6000;

  /** Every 50th key is missing, so that all pages have something to tell. */
  async function givenManyKeys(): Promise<Verification> {
    const verification = await prepareVerification();
    for (let i = 0; i < KEYS; i++) {
      verification.source.put(photo(i), 'x');
      if (i % 50 !== 0) verification.destination.put(photo(i), 'x');
    }
    await verification.listBoth();
    return verification;
  }

  it.each([1, 1500, 4000, 5999])(
    'by kill -9 at HEAD %i writes the log of a single run',
    async (nth) => {
      const verification = await givenManyKeys();
      const expected = Array.from({ length: KEYS / 50 }, (_, i) => `${photo(i * 50)},+,missing,1,`);
      const { script } = verification.source;
      const program = verification.start({ threads: 16 });
      await program.reaches(script.until(({ length }) => length > nth));
      program.kill('SIGKILL');
      await program.ended;
      const { exitCode, stderr } = await verification.run();
      expect(await verification.log()).toEqual(expected);
      expect(stderr).toContain(`obj ${KEYS.toLocaleString('en-US')}: ign 0, same 5,880,`);
      expect(exitCode).toBe(1);
    },
  );

  it('by Ctrl-C exits with 130 and goes on where it was', async () => {
    const verification = await givenManyKeys();
    const { script } = verification.source;
    const { opened, open } = gate();
    script.on('HeadObject', photo(4500)).before(() => opened);
    const program = verification.start();
    await program.reaches(script.until(({ length }) => length > 5000));
    program.kill('SIGINT');
    open();
    const { exitCode, stderr } = await program.ended;
    expect(stderr).toMatch(/^s3migrate: interrupted by Ctrl-C after .* so far$/m);
    expect(exitCode).toBe(130);
    script.requests.length = 0;
    expect(await verification.run()).toMatchObject({ exitCode: 1 });
    expect(script.count('HeadObject')).toBeLessThan(2500);
    expect(await verification.log()).toHaveLength(KEYS / 50);
  });

  it('by Ctrl-C lets go of the content it is reading', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', 'x');
    verification.putBoth('b', Buffer.alloc(500_000));
    await verification.listBoth();
    const { script } = verification.destination;
    const { opened, open } = gate();
    script.on('GetObject', 'b').before(() => opened);
    const program = verification.start({ content: 'all' });
    await program.reaches(script.seen('GetObject', 2));
    program.kill('SIGINT');
    open();
    expect(await program.ended).toMatchObject({ exitCode: 130 });
    expect(await verification.run({ content: 'all' })).toMatchObject({ exitCode: 0 });
  });

  it('is not continued by one that compares something else', async () => {
    const verification = await givenTwo();
    const { exitCode, stderr } = await verification.run({ metadata: true });
    expect(stderr).toContain('metadata was "false" and is "true"');
    expect(exitCode).toBe(2);
  });

  it('says so when it is complete, and keeps its exit code', async () => {
    const verification = await givenTwo();
    verification.source.script.requests.length = 0;
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toMatch(/^s3migrate: this verification is complete already: 2 objects, 1 that/);
    expect(verification.source.script.count('HeadObject')).toBe(0);
    expect(exitCode).toBe(1);
  });

  it('is begun anew when its log was cut, with a warning', async () => {
    const verification = await givenTwo();
    const path = join(verification.migration.logFolder, 'verify.log');
    await writeFile(path, (await readFile(path, 'latin1')).slice(0, 40));
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toMatch(/warning: .*verify\.log does not hold/);
    expect(await verification.log()).toEqual(['b,+,missing,1,']);
    expect(exitCode).toBe(1);
  });

  async function givenTwo(): Promise<Verification> {
    const verification = await prepareVerification();
    verification.putBoth('a', 'x');
    verification.source.put('b', 'x');
    await verification.listBoth();
    await verification.run();
    return verification;
  }
});

describe('without lists', () => {
  const NO_LISTS = { 'src-folder': undefined, 'dest-folder': undefined };

  function listsOf({ migration }: Verification): string {
    return join(migration.logFolder, 'lists');
  }

  it('all that either bucket lists is verified, and what was listed is told', async () => {
    const verification = await prepareVerification();
    for (let i = 0; i < 1200; i++) verification.putBoth(photo(i), 'x');
    verification.source.put('line\nfeed', 'only here');
    verification.destination.put('z', 'only there');
    const { exitCode, stderr } = await verification.run(NO_LISTS);
    expect(stderr).toContain(
      `s3migrate: lists in ${listsOf(verification)}: source 1201 keys, destination 1201 keys\n`,
    );
    expect(await verification.log()).toEqual([
      String.raw`line\nfeed,+,missing,9,`,
      'z,-,missing,,10',
    ]);
    expect(exitCode).toBe(1);
  });

  it('the same command goes on with the lists that are there', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', 'x');
    verification.putBoth('b', 'x');
    const { script } = verification.source;
    const { opened, open } = gate();
    script.on('HeadObject', 'a').before(() => opened);
    const program = verification.start(NO_LISTS);
    await program.reaches(script.seen('HeadObject', 1));
    program.kill('SIGKILL');
    await program.ended;
    open();
    verification.source.put('c', 'not listed');
    const { exitCode, stderr } = await verification.run(NO_LISTS);
    expect(stderr).toContain('source as listed before, destination as listed before\n');
    expect(script.count('ListObjectsV2')).toBe(1);
    expect(stderr).toContain('obj 2: ign 0, same 2,');
    expect(exitCode).toBe(0);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGKILL', undefined],
  ] as const)(
    '%s while they list leaves no half list, and keeps a whole one',
    async (signal, code) => {
      const verification = await prepareVerification();
      for (let i = 0; i < 1500; i++) verification.source.put(photo(i), 'x');
      const { source, destination } = verification;
      const { opened, open } = gate();
      source.script
        .on('ListObjectsV2')
        .skip(1)
        .times(1)
        .before(() => opened);
      const program = verification.start(NO_LISTS);
      await program.reaches(source.script.seen('ListObjectsV2', 2));
      await program.reaches(appearing(listsOf(verification), 'destination'));
      program.kill(signal);
      expect((await program.ended).exitCode).toBe(code);
      open();
      if (signal === 'SIGINT')
        expect(await readdir(listsOf(verification))).toEqual(['destination']);

      const { exitCode, stderr } = await verification.run(NO_LISTS);

      expect(stderr).toContain('source 1500 keys, destination as listed before\n');
      expect(await readdir(listsOf(verification))).toEqual(['destination', 'source']);
      expect(destination.script.count('ListObjectsV2')).toBe(1);
      expect(await verification.log()).toHaveLength(1500);
      expect(exitCode).toBe(1);
    },
  );

  it('both buckets are listed at the same time', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', 'x');
    const { source, destination } = verification;
    source.script.on('ListObjectsV2').before(() => destination.script.seen('ListObjectsV2', 1));
    destination.script.on('ListObjectsV2').before(() => source.script.seen('ListObjectsV2', 1));
    expect(await verification.run(NO_LISTS)).toMatchObject({ exitCode: 0 });
  });

  it.each(['source', 'destination'] as const)('an empty %s lacks every key', async (side) => {
    const verification = await prepareVerification();
    verification[side === 'source' ? 'destination' : 'source'].put('a', 'x');
    const { exitCode, stderr } = await verification.run(NO_LISTS);
    expect(stderr).toContain(`${side} 0 keys`);
    expect(await verification.log()).toEqual([
      side === 'source' ? 'a,-,missing,,1' : 'a,+,missing,1,',
    ]);
    expect(exitCode).toBe(1);
  });

  it('two empty buckets do not differ', async () => {
    const verification = await prepareVerification();
    expect(await verification.run(NO_LISTS)).toMatchObject({ exitCode: 0 });
    expect(await verification.log()).toEqual([]);
  });

  it('a bucket that cannot be listed stops it, naming the side, and nothing is verified', async () => {
    const verification = await prepareVerification();
    for (let i = 0; i < 1500; i++) verification.destination.put(photo(i), 'x');
    const { script } = verification.destination;
    script.on('ListObjectsV2').skip(1).status(403, { code: 'AccessDenied' });
    const { exitCode, stderr } = await verification.run(NO_LISTS);
    expect(stderr).toMatch(
      /^s3migrate: destination: bucket archive cannot be listed: .*AccessDenied.*\n {2}\S/,
    );
    expect(exitCode).toBe(3);
    expect(await readdir(listsOf(verification))).not.toContain('destination');
    expect(script.count('HeadObject')).toBe(0);
  });

  it('--prefix leaves out all other keys, and is part of what is continued', async () => {
    const verification = await prepareVerification();
    for (const key of ['2019/a', '2020/a', '2020/b']) verification.source.put(key, 'x');
    await verification.run({ ...NO_LISTS, prefix: '2020/' });
    expect(await verification.log()).toEqual(['2020/a,+,missing,1,', '2020/b,+,missing,1,']);
    const { exitCode, stderr } = await verification.run(NO_LISTS);
    expect(stderr).toMatch(/verify\.lists\.json: .*another run: prefix was "2020\/" and is ""\n/);
    expect(exitCode).toBe(2);
  });

  it('lists that somebody else has put into the log folder are not used', async () => {
    const verification = await prepareVerification();
    await mkdir(join(listsOf(verification), 'source'), { recursive: true });
    const { exitCode, stderr } = await verification.run(NO_LISTS);
    expect(stderr).toMatch(/^s3migrate: .*lists\/source: is not of this verification: .*\n {2}\S/);
    expect(exitCode).toBe(2);
    expect(verification.source.script.requests).toEqual([]);
  });

  it.each<[what: string, changes: Flags, message: RegExp]>([
    [
      'those of the destination alone',
      { 'src-folder': undefined },
      /--dest-folder is given without --src-f/,
    ],
    [
      'those of the source alone',
      { 'dest-folder': undefined },
      /--src-folder is given without --dest-f/,
    ],
    ['a prefix beside lists', { prefix: 'a' }, /--prefix is for buckets that are listed here/],
    ['a malformed prefix', { ...NO_LISTS, prefix: '\\' }, /--prefix .* malformed escape/],
  ])('%s are refused before anything is asked', async (_, changes, message) => {
    const verification = await prepareVerification();
    const { exitCode, stderr } = await verification.run(changes);
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(2);
    expect(verification.source.script.requests).toEqual([]);
  });
});

describe('bad input', () => {
  it.each(['some', 'sample', 'sample=0%', 'sample=101%', 'sample=1', '1%'])(
    'such as --content %s is refused before anything is asked',
    async (content) => {
      const verification = await prepareVerification();
      await verification.listBoth();
      const { exitCode, stderr } = await verification.run({ content });
      expect(stderr).toMatch(
        /^s3migrate: --content ".*" is neither all nor a sample.*\n {2}\S.*\n$/,
      );
      expect(exitCode).toBe(2);
      expect(verification.source.script.requests).toEqual([]);
    },
  );

  it('such as missing flags names them all', async () => {
    const { exitCode, stderr } = await runProgram(['verify', '--src-url', 'http://127.0.0.1:1']);
    expect(stderr).toMatch(/^s3migrate: missing --src-bucket, .*--dest-secret\n/);
    expect(exitCode).toBe(2);
  });

  it('such as a list out of order stops it, with what came before recorded', async () => {
    const verification = await prepareVerification();
    verification.source.put('a', 'x');
    await verification.migration.writeList('src', '00000.txt', 'a\nc\nb\n');
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toMatch(/00000\.txt:3/);
    expect(exitCode).toBe(2);
  });

  it('such as a wrong secret exits with 3, and the secret is nowhere', async () => {
    const verification = await prepareVerification();
    verification.putBoth('a', 'x');
    await verification.listBoth();
    const { exitCode, stderr } = await verification.run({ 'dest-secret': 'wr0ng-s3cret' });
    expect(stderr).toMatch(/^s3migrate: destination .*access denied/);
    expect(stderr).not.toContain('s3cret');
    expect(exitCode).toBe(3);
  });
});

/** Resolves when the folder, which is there, has an entry of this name. */
function appearing(folder: string, name: string): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!existsSync(join(folder, name))) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(folder, check);
    check();
  });
}

function md5(text: string): string {
  return hash('md5', text);
}
