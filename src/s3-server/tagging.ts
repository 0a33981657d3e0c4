/**
 * Object tags: the `x-amz-tagging` header and the Tagging document.
 */
import type { ObjectKey } from '../object-key.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import type { Call } from './operation.ts';
import { queryParameters } from './request.ts';
import { S3Error } from './s3-error.ts';
import { element, innerText, innerXml, keyText } from './xml.ts';

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html */
const MAX_TAGS = 10;

/** Names and values as text. */
export type Tags = ReadonlyMap<string, string>;

/** @throws S3Error InvalidTag when a name occurs twice, BadRequest for too many */
export function tagsFromHeader(header: string | undefined): Tags {
  const pairs = queryParameters(header ?? '').map(([name, value]): [string, string] => [
    keyText(name as ObjectKey),
    keyText(value as ObjectKey),
  ]);
  return distinctTags(pairs);
}

export function getObjectTagging({ request, bucket }: Call): Answer {
  const object = bucket().get(request.key);
  if (object === undefined) throw new S3Error('NoSuchKey');
  const tags = Array.from(object.tags, ([name, value]) =>
    element('Tag', [element('Key', name), element('Value', value)]),
  );
  return xmlAnswer('Tagging', [element('TagSet', tags)]);
}

export function putObjectTagging({ request, payload, bucket }: Call): Answer {
  const document = payload.body.toString('utf8');
  const pairs = innerXml(document, 'Tag').map((tag): [string, string] => {
    const name = innerText(tag, 'Key');
    if (name === undefined) throw new S3Error('MalformedXML');
    return [name, innerText(tag, 'Value') ?? ''];
  });
  bucket().setTags(request.key, distinctTags(pairs));
  return emptyAnswer(200);
}

export function deleteObjectTagging({ request, bucket }: Call): Answer {
  bucket().setTags(request.key, new Map());
  return emptyAnswer(204);
}

function distinctTags(pairs: readonly [string, string][]): Tags {
  const tags = new Map(pairs);
  if (tags.size < pairs.length) throw new S3Error('InvalidTag');
  if (tags.size > MAX_TAGS)
    throw new S3Error('BadRequest', 'Object tags cannot be greater than 10');
  return tags;
}
