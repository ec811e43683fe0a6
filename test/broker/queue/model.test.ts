/**
 * A live queue against a naive model: whatever is published, delivered,
 * settled, given back, purged, expired or paged, in whatever order, the queue
 * hands out what the model says, counts the same, loses nothing and doubles
 * nothing. The disk answers late; the window is so small that most is paged.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PublishOutcome, SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { bodyOf, type FakeConsumer, TestBench } from '../../support/queues/test-bench.ts';

type Step =
  | { readonly do: 'publish'; readonly count: number; readonly isPersistent: boolean; readonly priority: number }
  | { readonly do: 'subscribe'; readonly prefetch: number; readonly isAutoAck: boolean }
  | { readonly do: 'settle'; readonly consumer: number; readonly index: number; readonly outcome: SettleOutcome }
  | { readonly do: 'release' | 'flow'; readonly consumer: number }
  | { readonly do: 'get' | 'purge' | 'turn' | 'begin' | 'end' | 'commit' | 'second' };

const small = fc.nat({ max: 5 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('publish' as const),
        count: fc.integer({ min: 1, max: 12 }),
        isPersistent: fc.boolean(),
        priority: fc.nat({ max: 4 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('subscribe' as const),
        prefetch: fc.nat({ max: 4 }),
        isAutoAck: fc.boolean(),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('settle' as const),
        consumer: small,
        index: small,
        outcome: fc.constantFrom(SettleOutcome.accept, SettleOutcome.requeue, SettleOutcome.reject),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'flow' as const), consumer: small }) },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constantFrom(
          'get' as const,
          'turn' as const,
          'turn' as const,
          'begin' as const,
          'end' as const,
          'commit' as const,
          'second' as const,
        ),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const) }) },
  ),
  { minLength: 10, maxLength: 80 },
);

/** One message as the model sees it. */
interface Item {
  readonly body: string;
  readonly order: number;
  readonly lane: number;
  state: 'ready' | 'held' | 'gone';
}

class Model {
  readonly items = new Map<string, Item>();
  readonly confirmed = new Map<number, string>();
  private order = 0;

  add(body: string, lane: number): void {
    this.items.set(body, { body, order: this.order++, lane, state: 'ready' });
  }

  /** What has to be handed out next: highest lane, then oldest. */
  takeFirst(body: string): void {
    const item = this.items.get(body);
    assert.ok(item !== undefined, `${body} was never published`);
    assert.equal(item.state, 'ready', `${body} is handed out while it is ${item.state}`);
    for (const other of this.items.values()) {
      const isBefore = other.lane > item.lane || (other.lane === item.lane && other.order < item.order);
      assert.ok(other.state !== 'ready' || !isBefore, `${body} was handed out before ${other.body}`);
    }
    item.state = 'held';
  }

  set(body: string, state: Item['state']): void {
    this.items.get(body)!.state = state;
  }

  count(state: Item['state']): number {
    let count = 0;
    for (const item of this.items.values()) if (item.state === state) count++;
    return count;
  }
}

class Run {
  readonly bench: TestBench;
  readonly model = new Model();
  readonly consumers: {
    consumer: FakeConsumer;
    holder: number;
    isAutoAck: boolean;
    seen: number;
    held: number[];
    isOpen: boolean;
  }[] = [];
  private nextBody = 1;
  private readonly getHolder: number;
  private readonly pendingGets = new Set<number>();
  private nextGet = 1_000_000;
  private readonly pending = new Set<number>();

  constructor(maxPriority: number, windowBytesMax: number) {
    this.bench = new TestBench({
      arguments: maxPriority > 0 ? { 'x-max-priority': maxPriority } : {},
      limits: { windowBytesMax, unwrittenBytesMax: 1_000_000 },
    });
    this.getHolder = this.bench.newHolder();
  }

  do(step: Step): void {
    const { bench } = this;
    switch (step.do) {
      case 'publish':
        for (let i = 0; i < step.count; i++) this.publish(step.isPersistent, step.priority);
        break;
      case 'subscribe':
        if (this.consumers.length < 4) this.subscribe(step.prefetch, step.isAutoAck);
        break;
      case 'settle':
        this.settle(step.consumer, step.index, step.outcome);
        break;
      case 'release':
        this.release(step.consumer);
        break;
      case 'flow':
        this.flow(step.consumer);
        break;
      case 'get':
        this.get();
        break;
      case 'purge':
        this.purge();
        break;
      case 'second':
        bench.advance(1000);
        break;
      case 'turn':
        bench.turn();
        break;
      case 'begin':
        bench.store.begin();
        break;
      case 'end':
        bench.store.end();
        break;
      case 'commit':
        bench.commit();
    }
    this.look();
    this.checkCounts();
  }

  private publish(isPersistent: boolean, priority: number): void {
    const { bench, model } = this;
    const body = `m${this.nextBody++}`;
    const maxPriority = bench.queue.settings.maxPriority;
    model.add(body, Math.min(priority, maxPriority));
    const token = bench.publisher.nextToken;
    const outcome = bench.publish(body, { isPersistent, priority });
    assert.equal(outcome, isPersistent ? PublishOutcome.pending : PublishOutcome.accepted);
    if (isPersistent) this.pending.add(token);
  }

  private subscribe(prefetch: number, isAutoAck: boolean): void {
    const { consumer, holder } = this.bench.subscribe({ prefetch, isAutoAck });
    this.consumers.push({ consumer, holder, isAutoAck, seen: 0, held: [], isOpen: true });
  }

  private settle(at: number, index: number, outcome: SettleOutcome): void {
    const one = this.consumers[at];
    if (one === undefined || index >= one.held.length) return;
    const delivery = one.consumer.deliveries[one.held[index]!]!;
    one.held.splice(index, 1);
    this.model.set(delivery.body, outcome === SettleOutcome.requeue ? 'ready' : 'gone');
    this.bench.queue.settle(one.holder, delivery.epoch, delivery.position, outcome);
    this.bench.queue.settle(one.holder, delivery.epoch, delivery.position, outcome); // again: to no effect
  }

  private release(at: number): void {
    const one = this.consumers[at];
    if (one === undefined) return;
    for (const index of one.held) this.model.set(one.consumer.deliveries[index]!.body, 'ready');
    this.bench.queue.release(one.holder);
    this.consumers.splice(at, 1);
  }

  private flow(at: number): void {
    const one = this.consumers[at];
    if (one === undefined) return;
    one.isOpen = !one.isOpen;
    this.bench.queue.setFlow(one.holder, one.isOpen);
  }

  private get(): void {
    const token = this.nextGet++;
    this.pendingGets.add(token);
    this.bench.queue.get(this.getHolder, true, this.bench.replies, token);
  }

  private purge(): void {
    const token = this.nextGet++;
    this.bench.queue.purge(this.bench.replies, token);
    this.look();
    const reply = this.bench.replies.replies.get(token);
    assert.deepEqual(reply, { type: 'purged', count: this.model.count('ready') });
    for (const item of this.model.items.values()) if (item.state === 'ready') item.state = 'gone';
  }

  /**
   * Compares what was handed out since the last look. Several consumers may have been served in one turn, so what
   * came is put in the order of positions given out: by lane, then age.
   */
  private look(): void {
    const { model, bench } = this;
    const taken: { readonly body: string; readonly isGone: boolean }[] = [];
    for (const one of this.consumers) {
      for (; one.seen < one.consumer.deliveries.length; one.seen++) {
        const { body } = one.consumer.deliveries[one.seen]!;
        if (!one.isAutoAck) one.held.push(one.seen);
        taken.push({ body, isGone: one.isAutoAck });
      }
    }
    for (const token of this.pendingGets) {
      const reply = bench.replies.replies.get(token);
      if (reply === undefined) continue;
      this.pendingGets.delete(token);
      if (reply.type === 'got') taken.push({ body: bodyOf(reply.message), isGone: true });
    }
    const rank = (body: string) => this.model.items.get(body)!;
    taken.sort((a, b) => rank(b.body).lane - rank(a.body).lane || rank(a.body).order - rank(b.body).order);
    for (const { body, isGone } of taken) {
      model.takeFirst(body);
      if (isGone) model.set(body, 'gone');
    }
  }

  private checkCounts(): void {
    const { bench, model } = this;
    const status = bench.queue.status();
    assert.equal(status.ready, model.count('ready'));
    assert.equal(status.unsettled, model.count('held'));
    for (const [token, outcome] of bench.publisher.outcomes) {
      assert.equal(outcome, PublishOutcome.accepted);
      this.pending.delete(token);
    }
  }

  /** Everything left comes out, in order; every publish has been answered; the disk is empty. */
  finish(): void {
    const { bench, model } = this;
    while (this.consumers.length > 0) this.release(0);
    bench.settle();
    this.look();
    this.checkCounts();
    const left = [...model.items.values()].filter((item) => item.state === 'ready');
    left.sort((a, b) => b.lane - a.lane || a.order - b.order);
    assert.deepEqual(
      bench.drain(),
      left.map((item) => item.body),
    );
    bench.settle();
    for (const token of bench.publisher.outcomes.keys()) this.pending.delete(token);
    assert.equal(this.pending.size, 0, 'every publish is answered');
    const { ready, unsettled, readyBytes, unsettledBytes, persistent, persistentBytes, memoryBytes, inMemory } =
      bench.queue.status();
    const zero = [ready, unsettled, readyBytes, unsettledBytes, persistent, persistentBytes, memoryBytes, inMemory];
    assert.deepEqual(zero, [0, 0, 0, 0, 0, 0, 0, 0]);
    assert.equal(bench.store.logs.get(bench.queue.id)!.disk.records.size, 0, 'nothing stays on disk');
  }
}

for (const [name, maxPriority, windowBytesMax] of [
  ['everything in memory', 0, 1_000_000],
  ['a window of ten messages', 0, 1700],
  ['a window of three messages', 0, 500],
  ['priorities and a window of ten messages', 3, 1700],
] as const) {
  test(`hands out what a naive model says: ${name}`, () => {
    const property = fc.property(steps, (sequence) => {
      const run = new Run(maxPriority, windowBytesMax);
      for (const step of sequence) run.do(step);
      run.finish();
    });
    fc.assert(property, { numRuns: 250, seed: 20_240 });
  });
}
