/**
 * What a replica has on disk beside its messages: keys and values of its rows,
 * and reading all of them at a start.
 *
 *   r | queue               last + 1, watermark + 1, base of the sync + 1 (0: none), history: count, then epoch, first
 *   o | queue | position    an operation that is no publish, as in a batch; gone once the watermark has passed it
 *   b | queue | publisher   sequence, position
 *   d | queue | position    delivery count
 *   w | queue | kind | page ranges: what may be a hole (transient messages and holes), what a diff sync wants
 *   x | queue | lane | page ranges: settled, and still counted in the sum of bodies
 *
 * All numbers as varints, except in operations. Every value begins with version
 * and checksum.
 */
import { type EpochStart, type Operation, operationBytes, readOperations } from '../proto/entry/operation.ts';
import { isSealed, VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import { DamageError, type KeyValue, type KeyValueDatabase, type WriteBatch } from './key-value.ts';
import { type KeySpace, Prefix, persistentHead, queueIdOf } from './message-keys.ts';
import type { RangePages } from './range-pages.ts';
import { keyAfter, readSlice } from './read-all.ts';
import { VarintReader, VarintWriter } from './varint.ts';

export const RangeKind = { lossy: 0, wanted: 1 } as const;
export type RangeKind = (typeof RangeKind)[keyof typeof RangeKind];

export interface ReplicaHead {
  readonly last: number;
  readonly watermark: number;
  /** -1: none is open. */
  readonly syncPosition: number;
  readonly history: readonly EpochStart[];
}

/** Everything of one replica but its messages, as it was read. */
export class ReplicaRows {
  head: ReplicaHead | null = null;
  readonly operations: KeyValue[] = [];
  readonly publishers: KeyValue[] = [];
  readonly counts: KeyValue[] = [];
  readonly ranges: KeyValue[] = [];
  readonly uncollected: KeyValue[] = [];
}

/** Shared: only used inside one call. */
export const writer = new VarintWriter();

/** What `writer` holds, as a value. */
export function writtenValue(batch: WriteBatch): Buffer {
  const value = batch.alloc(VALUE_HEADER_BYTES + writer.length);
  value[0] = VALUE_VERSION;
  writer.copyTo(value, VALUE_HEADER_BYTES);
  return value;
}

export function putHead(batch: WriteBatch, queueId: number, head: ReplicaHead): void {
  writer.start();
  writer.number(head.last + 1);
  writer.number(head.watermark + 1);
  writer.number(head.syncPosition + 1);
  writer.number(head.history.length);
  for (const { epoch, first } of head.history) {
    writer.number(epoch);
    writer.number(first);
  }
  batch.put(persistentHead(Prefix.replica, queueId), writtenValue(batch));
}

function readHead(value: Buffer): ReplicaHead {
  const reader = new VarintReader(value, VALUE_HEADER_BYTES);
  const last = reader.number() - 1;
  const watermark = reader.number() - 1;
  const syncPosition = reader.number() - 1;
  const history: EpochStart[] = [];
  for (let count = reader.number(); count > 0; count--) {
    const epoch = reader.number();
    history.push({ epoch, first: reader.number() });
  }
  return { last, watermark, syncPosition, history };
}

/** Keys with one number (a position or publisher id) after the queue. */
export function rowKey(prefix: Prefix, queueId: number, number: number): Buffer {
  const key = Buffer.allocUnsafe(13);
  key[0] = prefix;
  key.writeUIntBE(queueId, 1, 6);
  key.writeUIntBE(number, 7, 6);
  return key;
}

export function rowNumber(key: Buffer): number {
  return key.readUIntBE(7, 6);
}

export function putOperation(batch: WriteBatch, queueId: number, operation: Operation): void {
  const bytes = operationBytes(operation);
  const value = batch.alloc(VALUE_HEADER_BYTES + bytes.length);
  value[0] = VALUE_VERSION;
  bytes.copy(value, VALUE_HEADER_BYTES);
  batch.put(rowKey(Prefix.operations, queueId, operation.position), value);
}

export function readOperationRow(pair: KeyValue, epoch: number): Operation {
  return readOperations(pair.value, VALUE_HEADER_BYTES, pair.value.length, epoch, rowNumber(pair.key), 1)[0]!;
}

export function putNumbers(batch: WriteBatch, key: Buffer, ...numbers: readonly number[]): void {
  writer.start();
  for (const number of numbers) writer.number(number);
  batch.put(key, writtenValue(batch));
}

export function readNumbers(value: Buffer): VarintReader {
  return new VarintReader(value, VALUE_HEADER_BYTES);
}

/** Writes the pages that changed. @param isSync false: they count as changed still, since a later sync may not cover this commit */
export function putPages(batch: WriteBatch, keys: KeySpace, ranges: RangePages, isSync: boolean): void {
  for (const page of ranges.changedPages) {
    if (ranges.writePage(writer, page)) {
      batch.put(keys.key(page), writtenValue(batch));
      ranges.storedPages.add(page);
    } else if (ranges.storedPages.has(page)) {
      batch.delete(keys.key(page));
      if (isSync) ranges.storedPages.delete(page);
    }
  }
  if (isSync) ranges.changedPages.clear();
}

/** Positions of pages of lane or kind `lane`. */
export function readPages(pairs: readonly KeyValue[], lane: number, ranges: RangePages): void {
  for (const { key, value } of pairs) if (key[7] === lane) ranges.readPage(value, key.readUIntBE(8, 6));
  ranges.changedPages.clear();
}

/** @throws DamageError naming what is damaged */
export async function loadReplicas(kv: Pick<KeyValueDatabase, 'read'>): Promise<Map<number, ReplicaRows>> {
  const replicas = new Map<number, ReplicaRows>();
  await eachRow(kv, Prefix.replica, 7, (pair) => {
    const rows = new ReplicaRows();
    rows.head = readHead(pair.value);
    replicas.set(queueIdOf(pair.key), rows);
  });
  const add = (
    prefix: Prefix,
    keyBytes: number,
    list: 'operations' | 'publishers' | 'counts' | 'ranges' | 'uncollected',
  ) =>
    eachRow(kv, prefix, keyBytes, (pair) => {
      replicas.get(queueIdOf(pair.key))?.[list].push(pair); // others are of a queue that is being removed
    });
  await add(Prefix.operations, 13, 'operations');
  await add(Prefix.publishers, 13, 'publishers');
  await add(Prefix.deliveryCounts, 13, 'counts');
  await add(Prefix.replicaRanges, 14, 'ranges');
  await add(Prefix.uncollected, 14, 'uncollected');
  return replicas;
}

async function eachRow(
  kv: Pick<KeyValueDatabase, 'read'>,
  prefix: Prefix,
  keyBytes: number,
  take: (pair: KeyValue) => void,
): Promise<void> {
  let from: Buffer = Buffer.from([prefix]);
  const until = Buffer.from([prefix + 1]);
  for (;;) {
    const { pairs, isEnd } = await readSlice(kv, from, until);
    for (const pair of pairs) {
      if (pair.key.length !== keyBytes || !isSealed(pair.key, pair.value)) {
        throw new DamageError(`message database: row ${pair.key.toString('hex')} of a replica is damaged`);
      }
      take(pair);
    }
    if (isEnd) return;
    from = keyAfter(pairs.at(-1)!.key);
  }
}
