/** Who gets the next message. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettleOutcome, type SubscribeRequest } from '../../../node/broker/queue/queue.ts';
import { Consumer, Scheduler } from '../../../node/broker/queue/scheduler.ts';
import { FakeConsumer, TestBench } from '../../support/queues/test-bench.ts';

interface Case {
  readonly name: string;
  /** One for each consumer. */
  readonly consumers: readonly {
    readonly priority?: number;
    readonly prefetch?: number;
    readonly isClosed?: boolean;
  }[];
  readonly messages: number;
  readonly expected: readonly (readonly number[])[];
}

const cases: readonly Case[] = [
  {
    name: 'in turn, message by message',
    consumers: [{}, {}, {}],
    messages: 7,
    expected: [
      [1, 4, 7],
      [2, 5],
      [3, 6],
    ],
  },
  {
    name: '121: a higher priority gets everything while it has credit',
    consumers: [{}, { priority: 10, prefetch: 2 }, { priority: 10, prefetch: 1 }, { priority: -1 }],
    messages: 6,
    expected: [[4, 5, 6], [1, 3], [2], []],
  },
  {
    name: 'a full consumer is passed over',
    consumers: [{ prefetch: 1 }, { prefetch: 3 }],
    messages: 6,
    expected: [[1], [2, 3, 4]],
  },
  {
    name: 'a closed one is passed over',
    consumers: [{ isClosed: true }, {}, { isClosed: true }, {}],
    messages: 4,
    expected: [[], [1, 3], [], [2, 4]],
  },
];

for (const { name, consumers, messages, expected } of cases) {
  test(`consumers are served: ${name}`, () => {
    const bench = new TestBench();
    const subscribed = consumers.map(({ priority = 0, prefetch = 0, isClosed = false }) => {
      const one = bench.subscribe({ priority, prefetch });
      if (isClosed) bench.queue.setFlow(one.holder, false);
      return one;
    });
    for (let i = 1; i <= messages; i++) bench.publish(String(i));
    bench.turn();
    assert.deepEqual(
      subscribed.map((one) => one.consumer.bodies.map(Number)),
      expected,
    );
  });
}

test('120: a full consumer keeps its turn until it would have been served, then it stands behind the others', () => {
  const cases = [
    {
      why: 'its turn has not come',
      before: ['1', '2'],
      after: ['3', '4', '5'],
      expected: [['1', '4'], ['2', '5'], ['3']],
    },
    {
      why: 'it was passed over',
      before: ['1', '2', '3', '4'],
      after: ['5', '6', '7'],
      expected: [
        ['1', '7'],
        ['2', '4', '6'],
        ['3', '5'],
      ],
    },
  ];
  for (const { why, before, after, expected } of cases) {
    const bench = new TestBench();
    const first = bench.subscribe({ prefetch: 1 });
    const second = bench.subscribe({ prefetch: 10 });
    const third = bench.subscribe({ prefetch: 10 });
    bench.publishAll(...before);
    bench.turn();
    const { epoch, position } = first.consumer.deliveries[0]!;
    bench.queue.settle(first.holder, epoch, position, SettleOutcome.accept);
    bench.publishAll(...after);
    bench.turn();
    assert.deepEqual(
      [first, second, third].map((one) => one.consumer.bodies),
      expected,
      why,
    );
  }
});

test('deliveries of one queue are bounded in a turn and go on in the next', () => {
  const bench = new TestBench({ limits: { windowBytesMax: 100_000_000 } });
  const { consumer } = bench.subscribe({ isAutoAck: true });
  for (let i = 0; i < 10_000; i++) bench.publish('x');
  bench.turn();
  const first = consumer.deliveries.length;
  assert.ok(first > 0 && first < 10_000, `${first} in the first turn`);
  bench.settle();
  assert.equal(consumer.deliveries.length, 10_000);
});

test('hundreds of blocked consumers are not looked at for each message', () => {
  const sink = new FakeConsumer();
  const scheduler = new Scheduler(false);
  let looks = 0;
  const subscribe = (holder: number, prefetch: number) => {
    const consumer = new Consumer({ ...REQUEST, holder, prefetch, priority: holder % 7 }, sink);
    scheduler.add(consumer);
    return consumer;
  };
  for (let holder = 1; holder <= 500; holder++) {
    const consumer = subscribe(holder, 1);
    consumer.unsettledCount = 1;
    scheduler.update(consumer);
    Object.defineProperty(consumer, 'isOpen', { get: () => ++looks > 0 });
  }
  const free = subscribe(501, 0);
  for (let i = 0; i < 1000; i++) {
    assert.equal(scheduler.peek(), free);
    scheduler.onDelivered(free);
  }
  assert.equal(looks, 0);
});

const REQUEST: SubscribeRequest = {
  holder: 0,
  consumerTag: 'tag',
  isAutoAck: false,
  isExclusive: false,
  priority: 0,
  prefetch: 0,
  ackTimeoutMs: 0,
  description: { connectionName: 'c', channelNumber: 1, user: 'guest', arguments: {} },
};
