/**
 * Goal: whoever accepts damage is told every loss, by queue, with how many
 * messages and where; what is left is served exactly, and the next start needs
 * no permission any more. Method: a simulated disk with every kind of record on
 * it, one of which is flipped or lost.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueuedMessage } from '../../proto/entry/queued-message.ts';
import { DamageError, WriteBatch } from '../../storage/key-value.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import {
  DATABASE_OPTIONS,
  Events,
  Listener,
  positions,
  queued,
  readWhole,
  Space,
  settledDown,
  turnQueue,
} from './support.ts';

const MESSAGES = 500;
const PER_COMMIT = 50;
const LARGE = 70_000;

/** Queue 3: 500 messages of which 0 and 1 are consumed, one is large. Queue 4: every other one is consumed. */
async function filled(): Promise<SimDatabase> {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const store = await open(kv, 1, false, []);
  const listener = new Listener();
  const log = store.open(3, 1, listener);
  const consumed: QueuedMessage[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    const item = queued(i, { body: Buffer.alloc(i === 70 ? LARGE : 10, i) });
    log.append(item);
    if (i < 2) consumed.push(item);
    if (i % PER_COMMIT === PER_COMMIT - 1) await settledDown(log, listener);
  }
  for (const item of consumed) log.settle(item);
  const scattered = new Listener();
  const other = store.open(4, 1, scattered);
  const items = Array.from({ length: 2000 }, (_, i) => queued(i, { body: Buffer.alloc(0) }));
  for (const item of items) other.append(item);
  await settledDown(other, scattered);
  for (const item of items) if (item.position % 2 === 0) other.settle(item);
  await settledDown(other, scattered);
  await store.close();
  return kv.crash();
}

function open(
  kv: SimDatabase,
  incarnation: number,
  acceptDamage: boolean,
  losses: string[],
): Promise<LevelMessageStore> {
  const onLoss = (text: string, queueId: number | null): void => {
    losses.push(queueId === null ? text : `${text} [${queueId}]`);
  };
  const options = { ...DATABASE_OPTIONS, acceptDamage, onLoss };
  return LevelMessageStore.open(kv, turnQueue(), new Events(), new Space(), options, incarnation);
}

/** Index of the nth pair whose key begins with these bytes. */
function nth(kv: SimDatabase, head: string, n: number): number {
  const found = Array.from({ length: kv.size }, (_, i) => i).filter((i) =>
    kv.keyAt(i).toString('hex').startsWith(head),
  );
  assert.ok(found.length > n, `${found.length} keys ${head}`);
  return found[n]!;
}

const QUEUE_3 = '000000000003';
const QUEUE_4 = '000000000004';
const ALL = Array.from({ length: MESSAGES - 2 }, (_, i) => i + 2);
const without = (first: number, last: number): number[] => ALL.filter((i) => i < first || i > last);

const CASES: readonly {
  readonly name: string;
  readonly damage: (kv: SimDatabase) => void;
  /** Null: it is noticed when the queue is read. */
  readonly refused: RegExp | null;
  readonly losses: readonly RegExp[];
  readonly left: readonly number[];
}[] = [
  {
    name: 'a flipped byte in a record',
    damage: (kv) => kv.flip(nth(kv, `6d${QUEUE_3}`, 2), 30),
    refused: null,
    losses: [
      /^queue 3: 50 of 498 messages are lost \(positions 100 to 149; damaged records 6d0{11}3000{10}64\) \[3\]$/,
    ],
    left: without(100, 149),
  },
  {
    name: 'a record that is gone',
    damage: (kv) => kv.lose(nth(kv, `6d${QUEUE_3}`, 9)),
    refused: null,
    losses: [/^queue 3: 50 of 498 messages are lost \(positions 450 to 499\) \[3\]$/],
    left: without(450, 499),
  },
  {
    name: 'a part of a large body that is gone',
    damage: (kv) => kv.lose(nth(kv, `70${QUEUE_3}`, 0)),
    refused: null,
    losses: [/^queue 3: 1 of 498 messages are lost \(positions 70\) \[3\]$/],
    left: without(70, 70),
  },
  {
    name: 'damaged counters',
    damage: (kv) => kv.flip(nth(kv, `61${QUEUE_3}`, 0), 9),
    refused: /the counters of queue 3 are damaged/,
    losses: [/^queue 3: its counters were damaged or gone: 500 messages were found, consumed ones may be .* \[3\]$/],
    left: [0, 1, ...ALL],
  },
  {
    name: 'counters that are gone while messages are there',
    damage: (kv) => kv.lose(nth(kv, `61${QUEUE_3}`, 0)),
    refused: /the counters of queues that have messages are gone: queue 3$/,
    losses: [/^queue 3: its counters were damaged or gone: 500 messages were found, consumed ones may be .* \[3\]$/],
    left: [0, 1, ...ALL],
  },
  {
    name: 'a damaged page of what was consumed',
    damage: (kv) => kv.flip(nth(kv, `73${QUEUE_4}`, 0), 9),
    refused: /settled ranges 73.* are damaged/,
    losses: [
      /^queue 4: 1 pages of what was consumed are damaged: .*\[4\]$/,
      /^queue 4: 999 messages that were consumed come again \[4\]$/,
    ],
    left: ALL,
  },
  {
    name: 'a damaged generation',
    damage: (kv) => kv.flip(nth(kv, '6901', 0), 6),
    refused: /generation record is damaged/,
    losses: [/generation record is damaged/],
    left: ALL,
  },
  {
    name: 'a damaged record of the last stop',
    damage: (kv) => kv.flip(nth(kv, '6902', 0), 6),
    refused: /record of the last stop is damaged/,
    losses: [/record of the last stop is damaged/],
    left: ALL,
  },
  {
    name: 'a damaged trace of a commit',
    damage: (kv) => kv.flip(nth(kv, '63', 0), 9),
    refused: /the trace of commit 63.* is damaged/,
    losses: [/the trace of commit 63.* is damaged/],
    left: ALL,
  },
  {
    name: 'a commit that is gone',
    damage: (kv) => kv.lose(nth(kv, '63', 3)),
    refused: /commits 4 were synced and are gone/,
    losses: [/commits 4 were synced and are gone/],
    left: ALL,
  },
];

for (const { name, damage, refused, losses, left } of CASES) {
  test(`${name}: named, told when accepted, and gone for the start after that`, async () => {
    const kv = await filled();
    damage(kv);
    const told: string[] = [];
    if (refused !== null) await assert.rejects(open(kv, 2, false, told), refused);
    assert.deepEqual(told, [], 'nothing is lost that was not accepted');
    const accepted = await open(kv, 2, true, told);
    assert.equal(told.length, losses.length, told.join('\n'));
    for (const [i, loss] of losses.entries()) assert.match(told[i]!, loss);
    const listener = new Listener();
    const log = accepted.open(3, 2, listener);
    assert.equal(log.recovered.lanes[0]!.count, left.length);
    assert.deepEqual(positions(await readWhole(log, listener)), left);
    await accepted.close();
    const later: string[] = [];
    const again = await open(kv.crash(), 3, false, later);
    const reader = new Listener();
    assert.deepEqual(positions(await readWhole(again.open(3, 3, reader), reader)), left);
    assert.deepEqual(later, []);
    await again.close();
  });
}

test('accepting damage where there is none tells nothing and changes no count', async () => {
  const told: string[] = [];
  const store = await open(await filled(), 2, true, told);
  assert.deepEqual(told, []);
  assert.equal(store.open(3, 2, new Listener()).recovered.lanes[0]!.count, ALL.length);
  assert.equal(store.open(4, 2, new Listener()).recovered.lanes[0]!.count, 1000);
  await store.close();
});

test('a row under a key that is cut off is named, and goes when that is accepted', async () => {
  const kv = await filled();
  const batch = new WriteBatch();
  batch.put(Buffer.from('m\x01'), Buffer.alloc(20, 1));
  await new Promise<void>((resolve) => kv.write(batch, true, () => resolve()));
  await assert.rejects(
    open(kv.crash(), 2, false, []),
    (error) => error instanceof DamageError && /6d01/.test(error.message),
  );
  const losses: string[] = [];
  const store = await open(kv.crash(), 2, true, losses);
  assert.match(losses.join(), /a record of some queue is damaged: 6d01/);
  await store.close();
});
