/**
 * The rows of the message database: a few of them damaged, lost, cut short or
 * under another's key, then a start and every queue read to its end.
 *
 * Without permission to lose anything the store serves exactly what was
 * confirmed, or says that it can't. With it, what is served is still right: no
 * message twice, none with another's content.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { DamageError, type KeyValue } from '../../../storage/key-value.ts';
import { LevelMessageStore } from '../../../storage/level-message-store.ts';
import type { QueueLog } from '../../../storage/message-store.ts';
import { readAll } from '../../../storage/read-all.ts';
import { SimDatabase } from '../../../storage/sim-database.ts';
import { DATABASE_OPTIONS, Events, Listener, queued, Space, settledDown, turnQueue } from '../../storage/support.ts';
import type { Random } from '../core/random.ts';
import { REFUSED, type Target } from '../core/target.ts';

/** Queue: its positions, all of which were confirmed; those that were consumed; how long a body is. */
const QUEUES = [
  {
    id: 3,
    messages: 40,
    perCommit: 10,
    isConsumed: (i: number) => i < 2,
    bodyBytes: (i: number) => (i === 7 ? 70_000 : 10),
  },
  { id: 4, messages: 60, perCommit: 60, isConsumed: (i: number) => i % 2 === 0, bodyBytes: () => 3 },
];
const READ_MAX = 16;
const PAIR_HEADER_BYTES = 6;
const TURNS_MAX = 20_000;

function database(pairs: readonly KeyValue[] = []): SimDatabase {
  return new SimDatabase((run) => setImmediate(run), pairs);
}

function body(queueId: number, position: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `${queueId}.${position}.`);
}

async function undamaged(): Promise<readonly KeyValue[]> {
  const kv = database();
  const store = await LevelMessageStore.open(kv, turnQueue(), new Events(), new Space(), DATABASE_OPTIONS, 1);
  for (const queue of QUEUES) {
    const listener = new Listener();
    const log = store.open(queue.id, 1, listener);
    const items = Array.from({ length: queue.messages }, (_, i) =>
      queued(i, { body: body(queue.id, i, queue.bodyBytes(i)) }),
    );
    for (const item of items) {
      log.append(item);
      if (item.position % queue.perCommit === queue.perCommit - 1) await settledDown(log, listener);
    }
    for (const item of items) if (queue.isConsumed(item.position)) log.settle(item);
    await settledDown(log, listener);
  }
  await store.close();
  return readAll(kv.crash(), Buffer.from([0]), Buffer.alloc(16, 0xff));
}

const PAIRS = await undamaged();

function pack(pairs: readonly KeyValue[]): Buffer {
  const parts = pairs.map(({ key, value }) => {
    const header = Buffer.alloc(PAIR_HEADER_BYTES);
    header.writeUInt16BE(key.length, 0);
    header.writeUInt32BE(value.length, 2);
    return Buffer.concat([header, key, value]);
  });
  return Buffer.concat(parts);
}

/** In order of their keys, the last of each, as a database has them. */
function unpack(bytes: Buffer): KeyValue[] {
  const pairs = new Map<string, KeyValue>();
  for (let at = 0; at + PAIR_HEADER_BYTES <= bytes.length; ) {
    const keyEnd = at + PAIR_HEADER_BYTES + bytes.readUInt16BE(at);
    const end = keyEnd + bytes.readUInt32BE(at + 2);
    const key = Buffer.from(bytes.subarray(at + PAIR_HEADER_BYTES, keyEnd));
    if (key.length > 0) pairs.set(key.toString('hex'), { key, value: Buffer.from(bytes.subarray(keyEnd, end)) });
    at = end;
  }
  return [...pairs.values()].sort((a, b) => a.key.compare(b.key));
}

function generate(random: Random): Buffer {
  const pairs = [...PAIRS];
  for (let left = random.below(4); left > 0; left--) damage(random, pairs);
  return pack(pairs);
}

function damage(random: Random, pairs: KeyValue[]): void {
  const at = random.below(pairs.length);
  const { key, value } = pairs[at]!;
  switch (random.below(6)) {
    case 0:
      pairs.splice(at, 1);
      return;
    case 1:
      pairs[at] = { key, value: value.subarray(0, random.below(value.length)) };
      return;
    case 2:
      pairs[at] = { key: flipped(random, key), value };
      return;
    case 3:
      pairs[at] = { key, value: random.pick(pairs).value };
      return;
    default:
      pairs[at] = { key, value: flipped(random, value) };
  }
}

function flipped(random: Random, bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  if (changed.length > 0) changed[random.below(changed.length)]! ^= 1 << random.below(8);
  return changed;
}

async function check(input: Buffer): Promise<number> {
  const pairs = unpack(input);
  const strict = await start(pairs, false);
  const lenient = await start(pairs, true);
  assert.ok(lenient !== null || strict === null, 'what can be served without permission can be served with it');
  return strict === null ? REFUSED : strict;
}

/** @returns how many messages were served; null when the damage was said */
async function start(pairs: readonly KeyValue[], acceptDamage: boolean): Promise<number | null> {
  const events = new Events();
  const options = { ...DATABASE_OPTIONS, acceptDamage };
  try {
    const store = await LevelMessageStore.open(database(pairs), turnQueue(), events, new Space(), options, 2);
    let served = 0;
    for (const queue of QUEUES) {
      const listener = new Listener();
      const items = await readToEnd(store.open(queue.id, 2, listener), listener, events);
      if (items === null) return saidDamage(events, acceptDamage);
      requireRight(queue, items, acceptDamage);
      served += items.length;
    }
    await store.close();
    return events.fatal.length > 0 ? saidDamage(events, acceptDamage) : served;
  } catch (error) {
    if (error instanceof DamageError) return null;
    throw error;
  }
}

function saidDamage(events: Events, acceptDamage: boolean): null {
  const [error] = events.fatal;
  assert.ok(!acceptDamage, `damage that was accepted does not come up later: ${error?.message}`);
  assert.ok(
    error !== undefined && /gone|damaged|entry|record/.test(error.message),
    `a fault names it: ${error?.stack}`,
  );
  return null;
}

/** Null when a fatal error came instead of an answer. */
async function readToEnd(log: QueueLog, listener: Listener, events: Events): Promise<QueuedMessage[] | null> {
  const all: QueuedMessage[] = [];
  for (let from = 0; ; ) {
    const before = listener.answers.length;
    log.read(0, from, 2 ** 48 - 1, READ_MAX, 1024 * 1024);
    for (let turns = 0; listener.answers.length === before; turns++) {
      if (events.fatal.length > 0) return null;
      assert.ok(turns < TURNS_MAX, 'a read is answered');
      await nextTurn();
    }
    const { items, isEnd } = listener.answers.at(-1)!;
    all.push(...items);
    if (isEnd) return all;
    assert.ok(items.length > 0, 'an answer without messages is the last');
    from = items.at(-1)!.position + 1;
  }
}

function requireRight(queue: (typeof QUEUES)[number], items: readonly QueuedMessage[], acceptDamage: boolean): void {
  for (const { position, message } of items) {
    assert.ok(message !== null && position < queue.messages, `queue ${queue.id} served position ${position}`);
    const expected = body(queue.id, position, queue.bodyBytes(position));
    assert.ok(message.body().equals(expected), `queue ${queue.id} served another content at position ${position}`);
  }
  const positions = items.map(({ position }) => position);
  assert.equal(new Set(positions).size, positions.length, `queue ${queue.id} served a message twice`);
  if (acceptDamage) return;
  const expected = Array.from({ length: queue.messages }, (_, i) => i).filter((i) => !queue.isConsumed(i));
  assert.deepEqual(positions, expected, `queue ${queue.id} served what was confirmed and not consumed`);
}

export const messageRows: Target = {
  name: 'message-rows',
  claim:
    'a start on damaged rows serves exactly what was confirmed or says what is damaged; after that only what is right',
  casesInTests: 300,
  corpus: [pack(PAIRS)],
  dictionary: [],
  bytesMax: 200_000,
  generate,
  growth: { factor: 1, constant: 0 },
  check,
};
