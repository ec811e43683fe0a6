/**
 * The layout of entries: what is written is read back, for every combination of
 * fields, and a record that is cut off anywhere is refused.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Address } from '../../../proto/entry/address.ts';
import { ADDRESSES_MAX, AddressCache } from '../../../proto/entry/address-cache.ts';
import {
  EntryError,
  entryBytes,
  INLINE_BODY_BYTES_MAX,
  RECORD_HEADER_BYTES,
  RecordReader,
  writeEntry,
  writeRecordHeader,
} from '../../../proto/entry/entry-codec.ts';
import { Message } from '../../../proto/entry/message.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';

const number48 = fc.maxSafeNat().map((value) => value % 2 ** 48);
const shortText = fc.string({ maxLength: 60, unit: 'grapheme' }).filter((text) => Buffer.byteLength(text) <= 255);

const messages = fc
  .record({
    exchange: shortText,
    routingKey: shortText,
    extraKeys: fc.array(shortText, { maxLength: 3 }),
    isPersistent: fc.boolean(),
    priority: fc.integer({ min: -1, max: 255 }),
    expirationMs: fc.constantFrom(-1, 0, 60_000, 4_294_967_295),
    properties: fc.uint8Array({ minLength: 2, maxLength: 60 }),
    body: fc.uint8Array({ maxLength: 200 }),
    tail: fc.uint8Array({ maxLength: 50 }),
    publisherId: fc.oneof(fc.constant(0), number48),
    sequence: fc.oneof(fc.constant(0), number48),
  })
  .map((fields) => {
    const bytes = Buffer.concat([Buffer.alloc(3, 9), fields.properties, fields.body, Buffer.alloc(2, 9)]);
    const bodyStart = 3 + fields.properties.length;
    const bodyEnd = bodyStart + fields.body.length;
    const tail = fields.tail.length === 0 ? [] : [Buffer.from(fields.tail)];
    const message = new Message(
      new Address(fields.exchange, fields.routingKey),
      fields.extraKeys,
      fields.isPersistent,
      fields.priority,
      fields.expirationMs,
      bytes,
      3,
      bodyStart,
      bodyStart,
      bodyEnd,
      tail,
      fields.body.length + fields.tail.length,
      false,
    );
    message.publisherId = fields.publisherId;
    message.sequence = fields.sequence;
    return message;
  });

const items = fc
  .record({
    message: messages,
    epoch: fc.nat(),
    position: number48,
    lane: fc.nat({ max: 255 }),
    isPersistent: fc.boolean(),
    arrivedAtMs: number48,
    expiresAtMs: fc.oneof(fc.constant(0), number48),
    deliveryCount: fc.nat({ max: 3 }),
    isRedelivered: fc.boolean(),
    gap: number48,
  })
  .map(({ message, gap, deliveryCount, isRedelivered, ...place }) => {
    const { epoch, position, lane, isPersistent, arrivedAtMs, expiresAtMs } = place;
    const bytes = message.bodyBytes;
    const item = new QueuedMessage(epoch, position, message, lane, isPersistent, bytes, arrivedAtMs, expiresAtMs);
    item.deliveryCount = deliveryCount;
    item.isRedelivered = isRedelivered;
    item.previousGap = gap;
    return item;
  });

function recordOf(entries: readonly QueuedMessage[]): Buffer {
  let bytes = RECORD_HEADER_BYTES;
  for (const item of entries) bytes += entryBytes(item, item.message!);
  const record = Buffer.alloc(bytes);
  writeRecordHeader(record, entries.length);
  let at = RECORD_HEADER_BYTES;
  for (const item of entries) at = writeEntry(record, at, item, item.message!, item.previousGap);
  assert.equal(at, bytes, 'the size that was computed is the size that is written');
  return record;
}

function readAll(record: Buffer): QueuedMessage[] {
  const reader = new RecordReader(record);
  const cache = new AddressCache();
  const found: QueuedMessage[] = [];
  while (reader.next()) found.push(reader.decode(cache));
  return found;
}

function fieldsOf(item: QueuedMessage) {
  const message = item.message!;
  const { epoch, position, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs, deliveryCount, previousGap } = item;
  return {
    ...{ epoch, position, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs, deliveryCount, previousGap },
    isRedelivered: item.isRedelivered,
    exchange: message.address.exchange,
    routingKey: message.address.routingKey,
    extraRoutingKeys: [...message.extraRoutingKeys],
    isMessagePersistent: message.isPersistent,
    priority: message.priority,
    expirationMs: message.expirationMs,
    publisher: [message.publisherId, message.sequence],
    properties: message.properties().toString('hex'),
    body: message.body().toString('hex'),
  };
}

test('entries are read back as they were written', () => {
  fc.assert(
    fc.property(fc.array(items, { maxLength: 6 }), (entries) => {
      assert.deepEqual(readAll(recordOf(entries)).map(fieldsOf), entries.map(fieldsOf));
    }),
    { numRuns: 300 },
  );
});

test('a record cut off anywhere, or with bytes behind its end, is refused', () => {
  const entries = fc.sample(items, { numRuns: 3, seed: 7 });
  const record = recordOf(entries);
  for (let cut = 0; cut < record.length; cut++) {
    assert.throws(() => readAll(Buffer.from(record.subarray(0, cut))), EntryError, `cut at ${cut}`);
  }
  assert.throws(() => readAll(Buffer.concat([record, Buffer.alloc(1)])), /1 bytes follow the last of 3 entries/);
});

test('a record of another format version is refused by its number', () => {
  const record = recordOf([]);
  record[0] = 2;
  assert.throws(() => readAll(record), { message: 'record format version 2, this version reads 1' });
});

test('any single changed byte is refused or stays inside the record', () => {
  const record = recordOf(fc.sample(items, { numRuns: 2, seed: 11 }));
  for (let at = 0; at < record.length; at++) {
    const changed = Buffer.from(record);
    changed[at]! ^= 0xff;
    try {
      for (const item of readAll(changed)) assert.ok(item.message!.bodyEnd <= changed.length);
    } catch (error) {
      assert.ok(error instanceof EntryError, `byte ${at}: ${String(error)}`);
    }
  }
});

test('a large body is not inside the record, its size is', () => {
  const bytes = Buffer.alloc(INLINE_BODY_BYTES_MAX + 3);
  const end = bytes.length;
  const message = new Message(new Address('', 'q'), [], true, -1, -1, bytes, 0, 2, 2, end, [], end - 2, false);
  const item = new QueuedMessage(1, 1, message, 0, true, end - 2, 1, 0);
  const record = recordOf([item]);
  assert.ok(record.length < 100);
  const reader = new RecordReader(record);
  assert.ok(reader.next() && reader.isInParts);
  const read = reader.decode(new AddressCache(), [bytes.subarray(2)]);
  assert.equal(read.bodyBytes, INLINE_BODY_BYTES_MAX + 1);
  assert.ok(read.message!.body().equals(bytes.subarray(2)));
});

test('extra routing keys come from long strings: none is too long to be kept', () => {
  const bytes = Buffer.alloc(4);
  const keys = ['c'.repeat(300), '', 'ü'.repeat(200), 'k'.repeat(255), 'l'.repeat(70_000)];
  const message = new Message(new Address('', 'q'), keys, true, -1, -1, bytes, 0, 2, 2, 4, [], 2, false);
  const record = recordOf([new QueuedMessage(1, 1, message, 0, true, 2, 1, 0)]);
  assert.deepEqual(readAll(record)[0]!.message!.extraRoutingKeys, keys);
  for (let end = 0; end < 600; end++) assert.throws(() => readAll(record.subarray(0, end)), EntryError);
});

test('names that are not UTF-8 are refused: with replacement characters they would be others, and longer', () => {
  const message = (address: Address, keys: readonly string[]): Message =>
    new Message(address, keys, true, -1, -1, Buffer.alloc(4), 0, 2, 2, 4, [], 2, false);
  for (const [address, keys] of [
    [new Address('', '~'.repeat(255)), []],
    [new Address('~', ''), []],
    [new Address('', ''), ['~'.repeat(90)]],
  ] as const) {
    const record = recordOf([new QueuedMessage(1, 1, message(address, keys), 0, true, 2, 1, 0)]);
    const changed = Buffer.from(record.map((byte) => (byte === 0x7e ? 0xff : byte)));
    assert.throws(() => readAll(changed), EntryError);
  }
});

test('equal addresses are one object, and the cache stays small', () => {
  const cache = new AddressCache();
  const bytesOf = (key: string): Buffer => new Address('x', key).bytes;
  const first = cache.get(bytesOf('k1'), 0, 5);
  cache.get(bytesOf('k2'), 0, 5);
  assert.equal(cache.get(Buffer.concat([Buffer.alloc(4), bytesOf('k1')]), 4, 9), first);
  for (let i = 0; i < ADDRESSES_MAX; i++) cache.get(bytesOf(`other ${i}`), 0, bytesOf(`other ${i}`).length);
  assert.notEqual(cache.get(bytesOf('k1'), 0, 5), first, 'forgotten when it was full');
});
