/**
 * The key layout of the message database. Numbers are big endian, so that byte
 * order is the order of queue, lane and position.
 *
 *   a | queue                              counters and settled ranges of one queue
 *   c | number                             commits: see commit-record
 *   i                                      generation: raised at every start; and what the last stop left: see clean-stop
 *   m | queue | lane | first position      record of persistent messages
 *   p | queue | lane | position | part     part of a large persistent body
 *   s | queue | lane | page                settled ranges that begin in that page of positions
 *   r, o, b, w, x, d | queue | ...         what a replica has beside its messages: see replica-rows
 *   u | queue | lane | position            a large persistent body of which only some parts are written: see body-parts
 *   t q | generation | queue | lane | chain | ...   as m and p for paged transient messages; the generation is that of
 *                                          the start that wrote them
 *
 * Keys that every commit writes again (a, and c before all messages) make the
 * tables overlap, so LevelDB writes the records of a growing backlog about
 * twice. Leaving a out of commits saves 6 % of that, and nothing in a broker.
 */
import { DamageError } from './key-value.ts';

export const Prefix = {
  queue: 0x61,
  publishers: 0x62,
  deliveryCounts: 0x64,
  info: 0x69,
  records: 0x6d,
  operations: 0x6f,
  parts: 0x70,
  transientParts: 0x71,
  replica: 0x72,
  settled: 0x73,
  transientRecords: 0x74,
  unfinished: 0x75,
  replicaRanges: 0x77,
  uncollected: 0x78,
} as const;
export type Prefix = (typeof Prefix)[keyof typeof Prefix];

export const POSITION_MAX = 2 ** 48 - 1;

/** Keys of one kind in one lane: what they all begin with is kept once and copied into every key. */
export class KeySpace {
  readonly head: Buffer;

  private constructor(head: Buffer) {
    this.head = head;
  }

  static persistent(prefix: Prefix, queueId: number, lane: number): KeySpace {
    const head = Buffer.alloc(8);
    head[0] = prefix;
    head.writeUIntBE(queueId, 1, 6);
    head[7] = lane;
    return new KeySpace(head);
  }

  static transient(prefix: Prefix, generation: number, queueId: number, lane: number, chain: number): KeySpace {
    const head = Buffer.alloc(14);
    transientHead(prefix, generation, queueId).copy(head);
    head[11] = lane;
    head.writeUInt16BE(chain, 12);
    return new KeySpace(head);
  }

  /** The same lane's keys of another kind. */
  withPrefix(prefix: Prefix): KeySpace {
    const head = Buffer.from(this.head);
    head[0] = prefix;
    return new KeySpace(head);
  }

  /** Key of the record that begins at `position`. */
  key(position: number): Buffer {
    const length = this.head.length;
    const key = Buffer.allocUnsafe(length + 6);
    this.head.copy(key);
    key.writeUIntBE(position, length, 6);
    return key;
  }

  partKey(position: number, part: number): Buffer {
    const length = this.head.length;
    const key = Buffer.allocUnsafe(length + 8);
    this.head.copy(key);
    key.writeUIntBE(position, length, 6);
    key.writeUInt16BE(part, length + 6);
    return key;
  }

  /** After every key of this space. */
  end(): Buffer {
    return keysEnd(this.head);
  }

  position(key: Buffer): number {
    return key.readUIntBE(this.head.length, 6);
  }
}

/** The first key after all that begin with `head`. */
export function keysEnd(head: Buffer): Buffer {
  const end = Buffer.from(head);
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i]! < 255) {
      end[i]!++;
      return end.subarray(0, i + 1);
    }
  }
  return end;
}

export function queueKey(queueId: number): Buffer {
  const key = Buffer.allocUnsafe(7);
  key[0] = Prefix.queue;
  key.writeUIntBE(queueId, 1, 6);
  return key;
}

/** What all keys of one kind of one queue begin with. */
export function persistentHead(prefix: Prefix, queueId: number): Buffer {
  const head = queueKey(queueId);
  head[0] = prefix;
  return head;
}

export function transientHead(prefix: Prefix, generation: number, queueId: number): Buffer {
  const head = Buffer.alloc(11);
  head[0] = prefix;
  head.writeUInt32BE(generation, 1);
  head.writeUIntBE(queueId, 5, 6);
  return head;
}

/** @throws DamageError when the key is too short for one */
export function queueIdOf(key: Buffer): number {
  if (key.length < 7) throw new DamageError(`message database: the key ${key.toString('hex')} is no queue's`);
  return key.readUIntBE(1, 6);
}
