/**
 * Goal: whatever a replica was told and wherever it crashed, a start finds what
 * some prefix of the calls made, at the least what was synced; and the messages
 * of a promoted follower are exactly those that live. Method: random calls on
 * the log in the database and, beside it, on the simulated one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PositionSet } from '../../proto/base/position-set.ts';
import { Operation, OperationKind } from '../../proto/entry/operation.ts';
import { SimReplicaLog, SimReplicaState } from '../../storage/sim-replica-store.ts';
import { entryOf, LevelReplicaDisk, publish, QUEUE, ReplicaListener, seen, texts, turns } from './replica-support.ts';
import { Listener, readWhole } from './support.ts';

const nat = (max: number) => fc.nat({ max });
const call = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('publish' as const),
      count: nat(12),
      lane: nat(1),
      bytes: fc.constantFrom(5, 40, 60_000),
      transientEvery: nat(4),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      from: nat(60),
      length: nat(30),
      isPersistent: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('absent' as const) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('commit' as const), back: nat(6) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('requeue' as const), at: nat(60) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('truncate' as const), back: nat(20) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('sync' as const), by: nat(15), seed: nat(1000) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('fill' as const), count: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('endSync' as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), count: nat(5) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('written' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('read' as const),
      from: nat(40),
      length: nat(60),
      bytesMax: fc.constantFrom(50, 1_000_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('crash' as const), kept: fc.constantFrom(0, 1, 2, Infinity) }),
  },
);
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never;

class World {
  disk!: LevelReplicaDisk;
  model!: SimReplicaLog;
  private epoch = 1;
  /** After each call since the start; the first is what the start found. */
  private states: SimReplicaState[] = [];
  /** Index of the state that survives any crash. */
  private sure = 0;
  private syncedCall = 0;

  async start(disk: LevelReplicaDisk, state: SimReplicaState): Promise<void> {
    this.disk = disk;
    this.model = new SimReplicaLog(new ReplicaListener(), state);
    this.states = [this.model.now.copy()];
    this.sure = 0;
    this.syncedCall = 0;
  }

  private both(isSynced: boolean, run: (log: SimReplicaLog | LevelReplicaDisk['log']) => void): void {
    run(this.model);
    run(this.disk.log);
    this.states.push(this.model.now.copy());
    if (isSynced) this.syncedCall = this.states.length - 1;
  }

  async run(step: Call): Promise<void> {
    const { now } = this.model;
    switch (step.type) {
      case 'publish':
        for (let i = 0; i < step.count; i++) {
          const isPersistent = step.transientEvery === 0 || i % step.transientEvery !== 0;
          const operation = publish(now.last + 1, isPersistent, this.epoch, step.lane, step.bytes);
          this.both(isPersistent, (log) => log.append(operation));
        }
        return;
      case 'settle': {
        const numbers = [step.from, step.from + step.length];
        const operation = Operation.of(OperationKind.settle, this.epoch, now.last + 1, step.isPersistent, numbers);
        this.both(step.isPersistent, (log) => log.append(operation));
        return;
      }
      case 'absent': {
        const operation = Operation.absent(this.epoch, now.last + 1);
        this.both(false, (log) => log.append(operation));
        return;
      }
      case 'commit':
        this.commit(Math.max(now.watermark, now.last - step.back));
        return;
      case 'requeue':
        if (step.at <= now.watermark) this.both(false, (log) => log.countDeliveries(step.at, step.at + 1));
        return;
      case 'truncate': {
        const last = now.last - step.back;
        if (last < now.watermark) return;
        this.both(true, (log) => log.truncate(last));
        this.epoch++;
        return;
      }
      case 'sync':
        this.sync(step.by, step.seed);
        return;
      case 'fill':
        this.fill(step.count);
        return;
      case 'endSync': {
        const holes = now.wanted?.copy() ?? null;
        if (holes !== null) this.both(true, (log) => log.endSync(holes));
        return;
      }
      case 'turns':
        return turns(step.count);
      case 'written':
        await this.disk.written();
        this.sure = this.syncedCall;
        return;
      case 'read':
        return this.read(step.from, step.from + step.length, step.bytesMax);
      case 'crash':
        return this.crash(step.kept);
    }
  }

  private commit(position: number): void {
    const { now } = this.model;
    if (position < 0) return;
    const settles = now.operations.filter((o) => o.kind === OperationKind.settle && o.position <= position);
    const isSynced = settles.some((o) => o.isPersistent);
    const rows = [{ publisherId: position % 3, sequence: position % 5 === 0 ? -1 : position + 1, position }];
    // one turn: nothing else comes between
    this.model.commit(position, rows);
    this.disk.log.commit(position, rows);
    for (const { numbers } of settles) {
      for (const log of [this.model, this.disk.log]) log.settle(numbers[0]!, Math.min(numbers[1]!, position));
    }
    this.states.push(this.model.now.copy());
    if (isSynced) this.syncedCall = this.states.length - 1;
  }

  private sync(by: number, seed: number): void {
    const { now } = this.model;
    if (now.wanted !== null) return;
    const position = now.last < 0 ? by : now.last + (by - 5);
    if (position < now.watermark || position < 0) return;
    const last = Math.min(now.last, position);
    const live = new PositionSet();
    const wanted = new PositionSet();
    for (let at = 0; at <= position; at++) {
      if ((at * 7 + seed) % 5 < 2) continue;
      live.add(at, at);
      if (!now.messages.has(at) || (at + seed) % 7 === 0) wanted.add(at, at);
    }
    const history = [{ epoch: this.epoch, first: 0 }];
    const publishers = [{ publisherId: 9, sequence: 4, position: 2 }];
    const counts = live.isEmpty ? [] : [{ position: live.first(0), count: 3 }];
    const start = { position, history, publishers, live, wanted, counts };
    this.both(true, (log) => {
      log.truncate(last);
      log.startSync(start);
    });
  }

  private fill(count: number): void {
    const { now } = this.model;
    const missing = new PositionSet();
    for (const at of now.lossy) if (!now.messages.has(at) && at <= now.watermark) missing.add(at, at);
    const isSyncing = now.wanted !== null;
    const wanted = now.wanted?.copy() ?? missing;
    for (let i = 0; i < count && !wanted.isEmpty; i++) {
      const position = i % 2 === 0 ? wanted.first(0) : wanted.last(wanted.rangeCount - 1);
      wanted.remove(position, position);
      if (position % 6 === 0 && isSyncing) {
        this.both(false, (log) => log.strike(position, position));
        continue;
      }
      const isPersistent = isSyncing && position % 4 !== 0;
      const entry = entryOf(position, isPersistent, this.epoch, position % 2, position % 3 === 0 ? 30_000 : 20);
      this.both(isPersistent, (log) => log.insert({ position, isPersistent, deliveryCount: position % 3, entry }));
    }
  }

  private async read(first: number, last: number, bytesMax: number): Promise<void> {
    const answer = await this.disk.read(first, last, bytesMax);
    this.model.read(first, answer.last, 1e9);
    const model: string[] = [];
    const listener = this.listener;
    this.model.endRead();
    model.push(...texts(listener.answers.at(-1)!.entries));
    assert.deepEqual(texts(answer.entries), model);
    assert.ok(answer.last >= first || answer.entries.length === 0);
    if (bytesMax > 100_000 && answer.last < last) assert.ok(answer.entries.length > 0);
  }

  private get listener(): ReplicaListener {
    return (this.model as unknown as { listener: ReplicaListener }).listener;
  }

  private async crash(kept: number): Promise<void> {
    const disk = await this.disk.crashKeeping(kept);
    const found = seen(disk.log);
    for (let i = this.states.length - 1; i >= 0; i--) {
      const state = this.states[i]!;
      const expected = seen(new SimReplicaLog(new ReplicaListener(), state.copy()));
      if (JSON.stringify(expected) !== JSON.stringify(found)) continue;
      assert.ok(i >= this.sure, `state ${i} of ${this.states.length}, ${this.sure} was synced`);
      await this.start(disk, state.copy());
      await this.read(0, 1000, 1e9);
      return;
    }
    assert.deepEqual(found, seen(new SimReplicaLog(new ReplicaListener(), this.states.at(-1)!.copy())));
  }

  async finish(): Promise<void> {
    await this.disk.written();
    this.sure = this.syncedCall;
    await this.read(0, 1000, 1e9);
    await this.crash(Infinity);
    const { messages } = this.model.now;
    await this.disk.promoted();
    const listener = new Listener();
    const queue = this.disk.store.open(QUEUE, 99, listener);
    for (const lane of [0, 1]) {
      const items = await readWhole(queue, listener, lane);
      const live = [...messages].filter(([, m]) => m.isPersistent && m.entry[6] === lane).map(([at]) => at);
      assert.deepEqual(
        items.map((item) => item.position),
        live.sort((a, b) => a - b),
      );
      const recovered = queue.recovered.lanes.find((one) => one.lane === lane);
      assert.equal(recovered?.count ?? 0, live.length);
      assert.equal(
        recovered?.bodyBytes ?? 0,
        items.reduce((sum, item) => sum + item.bodyBytes, 0),
      );
    }
  }
}

test('what a replica finds after a crash is a prefix of what it was told, and a promoted one has what lives', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 60 }), async (calls) => {
      const world = new World();
      await world.start(await LevelReplicaDisk.open(), new SimReplicaState());
      for (const step of calls) await world.run(step);
      await world.finish();
    }),
    { numRuns: Number(process.env['REPLICA_RUNS'] ?? 60), includeErrorInReport: true },
  );
});
