/**
 * What every message store promises, whatever is below it. Run on the store in
 * memory, on LevelDB and on the simulated disk.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGE_OVERHEAD_BYTES } from '../../proto/entry/message.ts';
import { StoreState } from '../../proto/entry/queued-message.ts';
import type { MessageStore } from '../../storage/message-store.ts';
import { Listener, positions, queued, readLane, readWhole, settledDown, until } from './support.ts';

export interface StoreUnderTest {
  readonly store: MessageStore;
  close(): Promise<void>;
}

export function messageStoreContract(name: string, openStore: () => Promise<StoreUnderTest>): void {
  const claim = (text: string, run: (store: MessageStore) => Promise<void>): void => {
    test(`${name}: ${text}`, async () => {
      const { store, close } = await openStore();
      await run(store);
      await close();
    });
  };

  claim('an appended message is told stored, once per commit, and read back whole', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    const items = [queued(0), queued(1, { body: Buffer.alloc(0) }), queued(5, { body: Buffer.alloc(3000, 7) })];
    for (const item of items) log.append(item);
    assert.deepEqual(listener.stored, [], 'never inside the call');
    assert.equal(store.unwrittenBytes, 3 * MESSAGE_OVERHEAD_BYTES + 6 + 3000);
    await until(() => listener.stored.length > 0);
    assert.deepEqual(listener.stored, [5]);
    assert.equal(store.unwrittenBytes, 0);
    const read = await readLane(log, listener);
    assert.equal(read.isEnd, true);
    assert.deepEqual(positions(read.items), [0, 1, 5]);
    for (const [i, item] of read.items.entries()) {
      const message = item.message!;
      const written = items[i]!.message!;
      assert.deepEqual(message.body(), written.body());
      assert.deepEqual(message.properties(), written.properties());
      assert.equal(message.address.exchange, 'orders');
      assert.equal(message.address.routingKey, 'eu.de');
      assert.equal(item.storeState, StoreState.stored);
      assert.equal(item.epoch, 1);
      assert.equal(item.arrivedAtMs, 1_700_000_000_000);
    }
  });

  claim('a message settled before its commit starts is never stored', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    const item = queued(0);
    log.append(item);
    log.settle(item);
    assert.equal(store.unwrittenBytes, 0);
    await until(() => listener.lastStored === 0);
    assert.deepEqual((await readLane(log, listener)).items, []);
  });

  claim('settled messages never come back, in whatever order they were settled', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    const items = Array.from({ length: 50 }, (_, i) => queued(i * 2));
    for (const item of items) log.append(item);
    await settledDown(log, listener);
    for (const i of [3, 1, 0, 49, 20, 21, 19, 2, 2]) log.settle(items[i]!);
    await settledDown(log, listener);
    const left = positions(items).filter((_, i) => ![3, 1, 0, 49, 20, 21, 19, 2].includes(i));
    assert.deepEqual(positions(await readWhole(log, listener, 0, 7)), left);
  });

  claim('a read obeys from, until, count and bytes, and says when nothing follows', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    for (let i = 0; i < 20; i++) log.append(queued(i * 3, { body: Buffer.alloc(100, i) }));
    await settledDown(log, listener);
    const cases = [
      { from: 0, until: 1000, count: 5, bytes: 1e6, positions: [0, 3, 6, 9, 12], isEnd: false },
      { from: 4, until: 12, count: 5, bytes: 1e6, positions: [6, 9], isEnd: true },
      { from: 4, until: 13, count: 3, bytes: 1e6, positions: [6, 9, 12], isEnd: true },
      { from: 45, until: 1000, count: 100, bytes: 200, positions: [45, 48], isEnd: false },
      { from: 58, until: 1000, count: 100, bytes: 1e6, positions: [], isEnd: true },
      { from: 57, until: 1000, count: 1, bytes: 1, positions: [57], isEnd: true },
    ];
    for (const { from, until: end, count, bytes, positions: expected, isEnd } of cases) {
      const read = await readLane(log, listener, 0, from, end, count, bytes);
      assert.deepEqual({ positions: positions(read.items), isEnd: read.isEnd }, { positions: expected, isEnd });
    }
  });

  claim('lanes and queues do not see each other', async (store) => {
    const listeners = [new Listener(), new Listener()];
    const logs = [store.open(1, 1, listeners[0]!), store.open(2, 1, listeners[1]!)];
    for (let i = 0; i < 30; i++) logs[i % 2]!.append(queued(i, { lane: i % 3 }));
    await settledDown(logs[0]!, listeners[0]!);
    await settledDown(logs[1]!, listeners[1]!);
    for (const lane of [0, 1, 2]) {
      for (const queue of [0, 1]) {
        const expected = Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 2 === queue && i % 3 === lane);
        assert.deepEqual(positions(await readWhole(logs[queue]!, listeners[queue]!, lane, 2)), expected);
      }
    }
  });

  claim('transient messages are paged out in any order and come back in order among the others', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    const transient = [4, 8, 2, 9, 1, 5].map((position) => queued(position, { isPersistent: false }));
    for (const position of [0, 3, 6, 7]) log.append(queued(position));
    for (const item of transient) log.page(item);
    await until(() => listener.paged.length === 6);
    await settledDown(log, listener);
    assert.deepEqual(positions(await readWhole(log, listener, 0, 3)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const item of transient.slice(0, 3)) log.settle(item);
    assert.deepEqual(positions(await readWhole(log, listener, 0, 4)), [0, 1, 3, 5, 6, 7, 9]);
  });

  claim('a settled range is gone at once; its neighbours stay', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    for (let i = 0; i < 100; i++) log.append(queued(i, { lane: i % 2 }));
    await settledDown(log, listener);
    log.settleRange(0, 10, 60, 26, bodyBytes(10, 60, 2));
    assert.deepEqual(
      positions(await readWhole(log, listener)),
      Array.from({ length: 50 }, (_, i) => i * 2).filter((i) => i < 10 || i > 60),
    );
    await settledDown(log, listener);
    assert.equal((await readWhole(log, listener)).length, 24);
    assert.equal((await readWhole(log, listener, 1)).length, 50);
  });

  claim('a body of several parts comes back byte for byte, and goes when it is settled', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    const bodies = [64 * 1024, 64 * 1024 + 1, 256 * 1024, 600_000].map((bytes, i) => patterned(bytes, i));
    const items = bodies.map((body, i) => queued(i, { body }));
    for (const item of items) log.append(item);
    await settledDown(log, listener);
    const read = await readWhole(log, listener);
    assert.deepEqual(
      read.map((item) => item.message!.body().equals(bodies[item.position]!)),
      [true, true, true, true],
    );
    log.settle(items[2]!);
    await settledDown(log, listener);
    assert.deepEqual(positions(await readWhole(log, listener)), [0, 1, 3]);
  });

  claim('a barrier is told after what was given before it, and also when nothing waits', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    log.barrier(listener, 1);
    assert.deepEqual(listener.barriers, []);
    await until(() => listener.barriers.length === 1);
    log.append(queued(0));
    log.barrier(listener, 2);
    await until(() => listener.barriers.length === 2);
    assert.equal(listener.lastStored, 0);
  });

  claim('a store may be closed while it reads and looks for what a crash left: that is no fault', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    log.append(queued(0));
    await settledDown(log, listener);
    store.removeUnknown(new Set(Array.from({ length: 2000 }, (_, i) => i)));
    log.read(0, 0, 10, 10, 1000);
  });

  claim('a removed queue is never told anything again', async (store) => {
    const listener = new Listener();
    const log = store.open(7, 1, listener);
    log.append(queued(0));
    log.remove();
    const other = new Listener();
    await settledDown(store.open(8, 1, other), other);
    assert.deepEqual(listener.stored, []);
    assert.equal(store.unwrittenBytes, 0);
  });
}

function bodyBytes(first: number, last: number, step: number): number {
  let bytes = 0;
  for (let i = first; i <= last; i += step) bytes += `body ${i}`.length;
  return bytes;
}

function patterned(bytes: number, seed: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i++) body[i] = (i * 31 + (i >> 8) + seed) & 255;
  return body;
}
