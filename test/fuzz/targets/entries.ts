/** Records of entries as disk and peers hold them: read or refused, and written again they say the same. */
import assert from 'node:assert/strict';
import { Address } from '../../../proto/entry/address.ts';
import { AddressCache } from '../../../proto/entry/address-cache.ts';
import {
  EntryError,
  entryBytes,
  RECORD_HEADER_BYTES,
  RecordReader,
  writeEntry,
  writeRecordHeader,
} from '../../../proto/entry/entry-codec.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../../proto/entry/message.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { REFUSED, refusedOr, type Target } from '../core/target.ts';
import { PROPERTIES } from './samples.ts';

interface Entry {
  readonly item: QueuedMessage;
  readonly message: Message;
  readonly gap: number;
  readonly isInParts: boolean;
}

function read(record: Buffer): Entry[] {
  const reader = new RecordReader(record);
  const addresses = new AddressCache();
  const entries: Entry[] = [];
  while (reader.next()) {
    const item = reader.decode(addresses);
    assert.ok(item.message !== null, 'a decoded entry has its message');
    entries.push({ item, message: item.message, gap: reader.previousGap, isInParts: reader.isInParts });
  }
  return entries;
}

function written(entries: readonly Entry[]): Buffer {
  const sizes = entries.map(({ item, message }) => entryBytes(item, message));
  const record = Buffer.alloc(sizes.reduce((sum, size) => sum + size, RECORD_HEADER_BYTES));
  writeRecordHeader(record, entries.length);
  let at = RECORD_HEADER_BYTES;
  for (const [place, { item, message, gap }] of entries.entries()) {
    const end = writeEntry(record, at, item, message, gap);
    assert.equal(end - at, sizes[place], 'an entry takes the room that was computed for it');
    at = end;
  }
  return record;
}

function check(record: Buffer): number {
  const entries = refusedOr(
    () => read(record),
    (error) => error instanceof EntryError,
  );
  if (entries === null) return REFUSED;
  // Where the body is not what its size says (in parts that are not here, or a number that no time is) nothing is written.
  const isWritable = ({ message, isInParts }: Entry): boolean =>
    !isInParts && !Number.isNaN(message.expirationMs) && message.bodyBytes <= 65_536;
  if (!entries.every(isWritable)) return entries.length;
  const again = written(entries);
  assert.deepEqual(written(read(again)), again, 'written again it is the same');
  return again.length;
}

function sample(
  routingKey: string,
  extraKeys: readonly string[],
  propertiesOf: Buffer,
  body: Buffer,
  tail: number,
): Entry {
  const bytes = Buffer.concat([propertiesOf, body]);
  const message = new Message(
    new Address('exchange', routingKey),
    extraKeys,
    true,
    extraKeys.length > 0 ? 5 : -1,
    tail > 0 ? 60_000 : -1,
    bytes,
    0,
    propertiesOf.length,
    propertiesOf.length,
    bytes.length,
    tail > 0 ? [Buffer.alloc(tail)] : NO_PARTS,
    body.length + tail,
    false,
  );
  message.publisherId = tail;
  message.sequence = 7;
  const item = new QueuedMessage(3, 1000 + tail, message, 1, true, message.bodyBytes, 1_700_000_000_000, tail * 9);
  item.deliveryCount = extraKeys.length;
  return { item, message, gap: 4, isInParts: false };
}

const SAMPLES: readonly Entry[] = [
  sample('key', NO_KEYS, PROPERTIES[0]!, Buffer.from('hello'), 0),
  sample('', ['a.b', 'grüße', ''], PROPERTIES[4]!, Buffer.alloc(0), 3),
  sample('k'.repeat(255), ['c'.repeat(255)], PROPERTIES[1]!, Buffer.alloc(40, 1), 5),
  sample('key', ['l'.repeat(300)], PROPERTIES[1]!, Buffer.alloc(3, 1), 0),
];

export const entries: Target = {
  name: 'entries',
  claim: 'a record is read or refused with an EntryError, and what was read can be written and says the same',
  casesInTests: 80_000,
  corpus: [...SAMPLES.map((entry) => written([entry])), written(SAMPLES), written([])],
  dictionary: [Buffer.from('0000f0ff', 'hex'), Buffer.from('00', 'hex'), Buffer.from('ff'.repeat(100), 'hex')],
  bytesMax: 2500,
  generate: null,
  growth: { factor: 4, constant: 64 },
  check,
};
