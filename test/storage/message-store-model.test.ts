/**
 * Goal: after a power failure at any moment every stored message is there, in
 * order; what was settled and told so stays gone; counts are exact. Method:
 * random operations on the store over the simulated disk, and beside it a list
 * of what must be true.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import type { QueuedMessage } from '../../proto/entry/queued-message.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import type { QueueLog } from '../../storage/message-store.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import {
  DATABASE_OPTIONS,
  Events,
  Listener,
  positions,
  queued,
  readLane,
  readWhole,
  Space,
  settledDown,
  turnQueue,
} from './support.ts';

type Operation =
  | { readonly type: 'append'; readonly count: number; readonly lane: number; readonly bytes: number }
  | { readonly type: 'page'; readonly count: number; readonly lane: number; readonly back: number }
  | { readonly type: 'settle'; readonly from: number; readonly step: number; readonly count: number }
  | { readonly type: 'range'; readonly lane: number; readonly from: number; readonly length: number }
  | { readonly type: 'read'; readonly lane: number; readonly from: number; readonly count: number }
  | { readonly type: 'turns'; readonly count: number }
  | { readonly type: 'barrier' }
  | { readonly type: 'forget' }
  | { readonly type: 'crash'; readonly unsyncedKept: number }
  | { readonly type: 'restart' };

const LANES = 2;
const nat = (max: number) => fc.nat({ max });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('append' as const), count: nat(20), lane: nat(1), bytes: nat(300) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      count: nat(2),
      lane: nat(1),
      bytes: fc.constant(300_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('page' as const), count: nat(10), lane: nat(1), back: nat(30) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      from: nat(200),
      step: fc.integer({ min: 1, max: 4 }),
      count: nat(40),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('range' as const), lane: nat(1), from: nat(100), length: nat(60) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('read' as const),
      lane: nat(1),
      from: nat(100),
      count: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), count: nat(4) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('barrier' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('forget' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('crash' as const), unsyncedKept: nat(3) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const) }) },
);

interface Known {
  /** Null when the queue let it leave memory: it is on disk only. */
  item: QueuedMessage | null;
  readonly position: number;
  readonly lane: number;
  readonly bodyBytes: number;
  readonly isPersistent: boolean;
  isStored: boolean;
  /** Settled, but not known to be on disk: a crash may bring it back. */
  isSettled: boolean;
}

class World {
  private kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  private events = new Events();
  private listener = new Listener();
  private store: LevelMessageStore | null = null;
  private log: QueueLog | null = null;
  private known: Known[] = [];
  private nextPosition = 0;
  private epoch = 0;

  async open(): Promise<void> {
    this.events = new Events();
    this.listener = new Listener();
    this.store = await LevelMessageStore.open(this.kv, turnQueue(), this.events, new Space(), DATABASE_OPTIONS);
    this.log = this.store.open(3, ++this.epoch, this.listener);
  }

  async run(operation: Operation): Promise<void> {
    const log = this.log!;
    switch (operation.type) {
      case 'append':
        return this.append(log, operation.count, operation.lane, operation.bytes);
      case 'page':
        return this.page(log, operation.count, operation.lane, operation.back);
      case 'settle':
        return this.settle(log, operation.from, operation.step, operation.count);
      case 'range':
        return this.settleRange(log, operation.lane, operation.from, operation.length);
      case 'read':
        return this.read(log, operation.lane, operation.from, operation.count);
      case 'turns':
        for (let i = 0; i < operation.count; i++) await nextTurn();
        return this.noteStored();
      case 'barrier':
        await settledDown(log, this.listener);
        this.noteStored();
        this.known = this.known.filter((known) => !known.isSettled);
        return;
      case 'forget':
        this.noteStored();
        for (const known of this.known) if (known.isStored && !known.isSettled) known.item = null;
        return;
      case 'crash':
        this.noteStored();
        this.kv = this.kv.crash(operation.unsyncedKept);
        return this.afterRestart();
      case 'restart':
        await this.store!.close();
        this.noteStored();
        for (const known of this.known) if (!known.isSettled) known.isStored = true;
        this.known = this.known.filter((known) => !known.isSettled);
        this.kv = this.kv.crash();
        return this.afterRestart();
    }
  }

  private append(log: QueueLog, count: number, lane: number, bytes: number): void {
    for (let i = 0; i < count; i++) {
      const item = queued(this.nextPosition, { lane, body: Buffer.alloc(bytes, this.nextPosition & 255) });
      this.nextPosition += 1 + (this.nextPosition % 3);
      log.append(item);
      this.remember(item);
    }
  }

  private page(log: QueueLog, count: number, lane: number, back: number): void {
    const taken = new Set(this.known.map((known) => known.position));
    for (let i = 0; i < count; i++) {
      const position = Math.max(0, this.nextPosition - back) + i;
      if (position >= this.nextPosition || taken.has(position) || this.everPaged.has(position)) continue;
      this.everPaged.add(position);
      const item = queued(position, { lane, isPersistent: false });
      log.page(item);
      this.remember(item);
    }
  }

  private readonly everPaged = new Set<number>();

  private remember(item: QueuedMessage): void {
    const { position, lane, bodyBytes, isPersistent } = item;
    this.everPaged.add(position);
    this.known.push({ item, position, lane, bodyBytes, isPersistent, isStored: false, isSettled: false });
  }

  private settle(log: QueueLog, from: number, step: number, count: number): void {
    for (let i = from; i < this.known.length && count > 0; i += step, count--) {
      const known = this.known[i]!;
      if (known.isSettled || known.item === null) continue;
      log.settle(known.item);
      known.isSettled = true;
    }
  }

  /** As the queue does: a run of messages of which none is in memory. */
  private settleRange(log: QueueLog, lane: number, from: number, length: number): void {
    const candidates = this.known
      .filter((known) => known.lane === lane && !known.isSettled)
      .sort((a, b) => a.position - b.position);
    const run: Known[] = [];
    for (const known of candidates.slice(from)) {
      if (known.item !== null || run.length >= length) break;
      run.push(known);
    }
    if (run.length === 0) return;
    const bodyBytes = run.reduce((sum, known) => sum + known.bodyBytes, 0);
    log.settleRange(lane, run[0]!.position, run.at(-1)!.position, run.length, bodyBytes);
    for (const known of run) known.isSettled = true;
  }

  private async read(log: QueueLog, lane: number, from: number, count: number): Promise<void> {
    this.noteStored();
    const stored = this.live(lane).filter((known) => known.isStored);
    const start = stored[from]?.position ?? 0;
    const reading = readLane(log, this.listener, lane, start, undefined, count);
    const { items } = await reading;
    this.noteStored();
    const sorted = [...positions(items)].sort((a, b) => a - b);
    assert.deepEqual(positions(items), sorted, 'in order');
    const live = new Set(this.live(lane).map((known) => known.position));
    for (const item of items) assert.ok(live.has(item.position), `position ${item.position} is settled or unknown`);
    const due = stored.filter((known) => known.position >= start).slice(0, count);
    const last = items.at(-1)?.position ?? -1;
    const found = new Set(positions(items));
    for (const known of due)
      assert.ok(found.has(known.position) || known.position > last, `${known.position} was skipped`);
    assert.equal(items.length === 0, due.length === 0);
    for (const item of items) {
      const known = this.known.find((other) => other.position === item.position)!;
      assert.equal(item.message!.body().length, known.bodyBytes);
      if (known.item === null) known.item = item; // back in memory
    }
  }

  private live(lane: number): Known[] {
    return this.known
      .filter((known) => known.lane === lane && !known.isSettled)
      .sort((a, b) => a.position - b.position);
  }

  private noteStored(): void {
    assert.deepEqual(this.events.fatal, []);
    const paged = new Set(this.listener.paged.map((item) => item.position));
    const stored = this.listener.lastStored;
    for (const known of this.known) {
      if (known.isPersistent ? known.position <= stored : paged.has(known.position)) known.isStored = true;
    }
  }

  /** What must be there, may be there, and must not. */
  private async afterRestart(): Promise<void> {
    await this.open();
    const log = this.log!;
    const kept: Known[] = [];
    for (let lane = 0; lane < LANES; lane++) {
      const items = await readWhole(log, this.listener, lane, 50);
      const found = new Map(items.map((item) => [item.position, item]));
      for (const known of this.known) {
        if (known.lane !== lane || !known.isPersistent) continue;
        const item = found.get(known.position);
        if (known.isStored && !known.isSettled) assert.ok(item, `stored message ${known.position} is lost`);
        if (item === undefined) continue;
        assert.equal(item.message!.body().length, known.bodyBytes);
        kept.push({ ...known, item, isStored: true, isSettled: false });
        found.delete(known.position);
      }
      assert.deepEqual([...found.keys()], [], 'what was settled and stored stays gone');
      const recovered = log.recovered.lanes.find((state) => state.lane === lane);
      assert.equal(recovered?.count ?? 0, items.length, 'exact count');
      const bytes = items.reduce((sum, item) => sum + item.bodyBytes, 0);
      assert.equal(recovered?.bodyBytes ?? 0, bytes, 'exact bytes');
    }
    this.known = kept.sort((a, b) => a.position - b.position);
    for (const known of kept) assert.ok(log.recovered.nextPosition > known.position);
    this.nextPosition = Math.max(this.nextPosition, log.recovered.nextPosition);
  }

  async end(): Promise<void> {
    await this.run({ type: 'barrier' });
    await this.run({ type: 'restart' });
    await this.store!.close();
    assert.equal(this.store!.unwrittenBytes, 0);
  }
}

test('every stored message survives a crash at any moment, settled ones stay gone, counts are exact', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: 'max' }), async (operations) => {
      const world = new World();
      await world.open();
      for (const one of operations) await world.run(one);
      await world.end();
    }),
    {
      numRuns: Number(process.env['STORAGE_RUNS'] ?? 150),
      interruptAfterTimeLimit: 60_000,
      markInterruptAsFailure: false,
    },
  );
});
