import { expect, it } from 'vitest';
import { parseTagging } from '../../src/s3/tagging.ts';

it('reads names and values as text, in any form a store gives them', () => {
  const xml = `<?xml version="1.0" encoding="UTF-8"?>
<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>
  <Tag><Key>stage</Key><Value>raw &amp; é</Value></Tag>
  <Tag>
    <Value></Value>
    <Key>empty</Key>
  </Tag>
  <Tag><Key>none</Key><Value/></Tag>
</TagSet></Tagging>`;
  expect([...parseTagging(xml)]).toEqual([
    ['stage', 'raw & é'],
    ['empty', ''],
    ['none', ''],
  ]);
});

it('finds none in an empty set', () => {
  expect([...parseTagging('<Tagging><TagSet></TagSet></Tagging>')]).toEqual([]);
  expect([...parseTagging('<Tagging><TagSet/></Tagging>')]).toEqual([]);
});
