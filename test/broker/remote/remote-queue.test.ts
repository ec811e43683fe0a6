/**
 * Claims about a queue that another node leads: clients cannot tell, links may
 * break at any moment, and nothing is lost, doubled without a flag or out of order.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Queue, type QueueReply, SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { RemoteQueue } from '../../../node/broker/remote/remote-queue.ts';
import { GRACE_MS } from '../../../node/broker/remote/served-peer.ts';
import { PublishResult } from '../../../node/broker/session.ts';
import { Client } from '../support/client.ts';
import { NODE_A, NODE_B, TwoBrokers } from '../support/two-brokers.ts';
import { queueRequest } from '../support/world.ts';

/** Queue q, led by A, and a client on each node. */
async function setUp(options: Parameters<typeof queueRequest>[1] = { isDurable: true }) {
  const two = new TwoBrokers();
  const onA = new Client(two.a);
  const onB = new Client(two.b);
  await two.a.session().declareQueue(queueRequest('q', options));
  two.settle();
  return { two, onA, onB };
}

const numbers = (count: number, first = 1): string[] => Array.from({ length: count }, (_, i) => String(first + i));

describe('a queue that another node leads', () => {
  test('is there for clients of both, and is led by the node that declared it', async () => {
    const { two, onB } = await setUp();
    assert.ok(onB.queue() instanceof RemoteQueue);
    assert.equal(two.b.metadata.view.get('queues', '["/","q"]')?.leader, NODE_A);
    assert.equal(two.a.session().queueForReading('q') instanceof RemoteQueue, false);
  });

  test('takes publishes of both nodes, in order of each, and confirms them when they are stored', async () => {
    const { two, onA, onB } = await setUp();
    for (const body of numbers(5)) assert.equal(onB.publish(body), PublishResult.pending);
    assert.deepEqual(onB.confirmed, []);
    two.settle();
    assert.deepEqual(onB.confirmed, [1, 2, 3, 4, 5]);
    onA.publish('from a');
    onA.subscribe();
    two.settle();
    assert.deepEqual(onA.bodies, [...numbers(5), 'from a']);
  });

  test('delivers to consumers of both nodes; acks count, what was not acked comes again', async () => {
    const { two, onA, onB } = await setUp();
    const holder = onB.subscribe({ prefetch: 2 });
    two.settle();
    assert.deepEqual(onB.replies, [{ type: 'subscribed' }]);
    for (const body of numbers(4)) onA.publish(body);
    two.settle();
    assert.deepEqual(onB.bodies, ['1', '2']);
    const [first, second] = onB.deliveries;
    onB.queue().settle(holder, first!.epoch, first!.position, SettleOutcome.accept);
    onB.queue().settle(holder, second!.epoch, second!.position, SettleOutcome.requeue);
    two.settle();
    assert.deepEqual(
      onB.deliveries.slice(2).map((d) => [d.body, d.isRedelivered]),
      [
        ['2', true],
        ['3', false],
      ],
    );
    onB.queue().release(holder);
    two.settle();
    onA.subscribe();
    two.settle();
    assert.deepEqual(onA.bodies, ['2', '3', '4']);
  });

  test('the body of a large message travels in parts, intact, both ways', async () => {
    const { two, onB } = await setUp();
    const body = Array.from({ length: 700_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');
    onB.publish(body);
    onB.publish('small');
    onB.subscribe();
    two.settle();
    assert.equal(onB.deliveries[0]?.body === body, true);
    assert.equal(onB.bodies[1], 'small');
  });

  test('get, counts, purge, delete and barrier are answered by the leader', async () => {
    const { two, onA, onB } = await setUp();
    const ask = (run: (queue: Queue) => void): QueueReply => {
      onB.replies.length = 0;
      run(onB.queue());
      two.settle();
      assert.equal(onB.replies.length, 1);
      return onB.replies[0]!;
    };
    assert.equal(ask((queue) => queue.get(900, false, onB, 1)).type, 'empty');
    for (const body of numbers(3)) onA.publish(body);
    two.settle();
    const got = ask((queue) => queue.get(901, false, onB, 1));
    assert.equal(got.type === 'got' ? `${got.message.body()} ${got.ready}` : got.type, '1 2');
    assert.deepEqual(
      ask((queue) => queue.counts(onB, 1)),
      { type: 'counts', counts: { ready: 2, unsettled: 1, consumers: 0 } },
    );
    assert.equal(ask((queue) => queue.barrier(onB, 1)).type, 'stored');
    const refused = ask((queue) => queue.remove({ ifUnused: false, ifEmpty: true }, onB, 1));
    assert.equal(
      refused.type === 'refused' ? refused.refusal.message : refused.type,
      "queue 'q' in vhost '/' not empty",
    );
    assert.deepEqual(
      ask((queue) => queue.purge(onB, 1)),
      { type: 'purged', count: 2 },
    );
    assert.deepEqual(
      ask((queue) => queue.remove({ ifUnused: true, ifEmpty: false }, onB, 1)),
      { type: 'removed', count: 0 },
    );
    assert.throws(() => onB.queue(), /no queue 'q'/);
  });

  test('a deleted queue cancels consumers of the other node', async () => {
    const { two, onB } = await setUp();
    onB.subscribe();
    two.settle();
    two.apply({ type: 'delete-queue', vhost: '/', name: 'q', id: null });
    two.settle();
    assert.deepEqual(onB.cancels, ['queue-deleted']);
  });

  test('a full queue refuses a remote publisher as it does a local one', async () => {
    const table = [
      ['x-max-length', { t: 'I', v: 1 }],
      ['x-overflow', { t: 'S', v: 'reject-publish' }],
    ] as const;
    const { two, onB } = await setUp({ isDurable: true, arguments: table });
    onB.publish('1');
    onB.publish('2');
    two.settle();
    assert.deepEqual(
      new Map(onB.sink.done),
      new Map([
        [1, true],
        [2, false],
      ]),
    );
  });
});

describe('the link breaks', () => {
  test('before a publish arrives: it is sent again on the next one, in order', async () => {
    const { two, onA, onB } = await setUp();
    onB.publish('1');
    two.turns();
    two.cut();
    onB.publish('2');
    two.settle();
    assert.deepEqual(onB.confirmed, []);
    two.connect();
    onB.publish('3');
    two.settle();
    assert.deepEqual(onB.confirmed, [1, 2, 3]);
    onA.subscribe();
    two.settle();
    assert.deepEqual(onA.bodies, ['1', '2', '3']);
  });

  test('rule 20: after it arrived and before its confirm did: it is taken once', async () => {
    const { two, onA, onB } = await setUp();
    onB.publish('1');
    two.turns();
    while (two.networkB.step());
    two.turns();
    two.cut();
    two.connect();
    two.settle();
    assert.deepEqual(onB.confirmed, [1]);
    onA.subscribe();
    two.settle();
    assert.deepEqual(
      onA.deliveries.map((d) => [d.body, d.isRedelivered]),
      [['1', false]],
    );
  });

  test('rule 20: after a full queue refused it and before that was told: it is refused again, not confirmed', async () => {
    const table = [
      ['x-max-length', { t: 'I', v: 1 }],
      ['x-overflow', { t: 'S', v: 'reject-publish' }],
    ] as const;
    const { two, onB } = await setUp({ isDurable: true, arguments: table });
    for (const body of numbers(3)) onB.publish(body);
    two.turns();
    while (two.networkB.step());
    two.turns();
    two.cut();
    two.connect();
    two.settle();
    assert.deepEqual(
      [...onB.sink.done].sort(([a], [b]) => a - b),
      [
        [1, true],
        [2, false],
        [3, false],
      ],
    );
  });

  test('rule 35: what was on its way to a consumer comes again, what it holds does not', async () => {
    const { two, onA, onB } = await setUp();
    const holder = onB.subscribe({ prefetch: 3 });
    two.settle();
    onA.publish('held');
    two.settle();
    onA.publish('lost on the way');
    two.turns();
    two.cut();
    onA.publish('while it is cut');
    two.settle();
    assert.deepEqual(onB.bodies, ['held']);
    two.connect();
    two.settle();
    assert.deepEqual(onB.bodies, ['held', 'lost on the way', 'while it is cut']);
    const [held] = onB.deliveries;
    onB.queue().settle(holder, held!.epoch, held!.position, SettleOutcome.accept);
    two.settle();
    onA.queue().counts(onA, 7);
    assert.deepEqual(onA.replies.at(-1), { type: 'counts', counts: { ready: 0, unsettled: 2, consumers: 1 } });
  });

  test('rule 33: an ack that was on its way is said again, and its message does not come back', async () => {
    const { two, onA, onB } = await setUp();
    const holder = onB.subscribe();
    onA.publish('1');
    two.settle();
    const [first] = onB.deliveries;
    onB.queue().settle(holder, first!.epoch, first!.position, SettleOutcome.accept);
    two.turns();
    two.cut();
    two.connect();
    two.settle();
    assert.deepEqual(onB.bodies, ['1']);
    onA.queue().counts(onA, 7);
    assert.deepEqual(onA.replies.at(-1), { type: 'counts', counts: { ready: 0, unsettled: 0, consumers: 1 } });
  });

  test('a channel that closed meanwhile: what it held is ready again', async () => {
    const { two, onA, onB } = await setUp();
    const holder = onB.subscribe();
    onA.publish('1');
    two.settle();
    two.cut();
    onB.queue().release(holder);
    two.connect();
    onA.subscribe();
    two.settle();
    assert.deepEqual(
      onA.deliveries.map((d) => [d.body, d.isRedelivered]),
      [['1', true]],
    );
  });

  test('for longer than the grace: what its clients held is ready again', async () => {
    const { two, onA, onB } = await setUp();
    onB.subscribe();
    onA.publish('1');
    two.settle();
    two.cut();
    onA.subscribe();
    two.pass(GRACE_MS - 1);
    assert.deepEqual(onA.bodies, []);
    two.pass(2);
    assert.deepEqual(
      onA.deliveries.map((d) => [d.body, d.isRedelivered]),
      [['1', true]],
    );
  });

  test('a question under way is answered "moved": its caller asks again', async () => {
    const { two, onB } = await setUp();
    onB.queue().counts(onB, 1);
    two.turns();
    two.cut();
    assert.deepEqual(onB.replies, [{ type: 'moved' }]);
    onB.queue().counts(onB, 2);
    assert.deepEqual(onB.replies.at(-1), { type: 'moved' });
  });

  test('what B has sent is bounded while A is away: its publishers are asked to stop, and to go on afterwards', async () => {
    const { two, onB } = await setUp();
    two.cut();
    const body = 'x'.repeat(1024 * 1024);
    let sent = 0;
    while (onB.sink.flow.length === 0 && sent < 1000) {
      onB.publish(body);
      sent++;
    }
    assert.deepEqual(onB.sink.flow, [false]);
    assert.ok(sent < 100, `${sent} MiB were taken`);
    two.connect();
    two.settle();
    assert.deepEqual(onB.sink.flow, [false, true]);
    assert.equal(onB.confirmed.length, sent);
  });

  test('however the link breaks: everything is confirmed, taken once, in order, and delivered; a repetition is flagged', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.constant('publish' as const) },
      { weight: 3, arbitrary: fc.constant('ack' as const) },
      { weight: 4, arbitrary: fc.constant('frame-a' as const) },
      { weight: 4, arbitrary: fc.constant('frame-b' as const) },
      { weight: 4, arbitrary: fc.constant('turns' as const) },
      { weight: 1, arbitrary: fc.constant('cut' as const) },
    );
    return fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const { two, onB } = await setUp();
        const holder = onB.subscribe({ prefetch: 5 });
        two.settle();
        const acked = new Set<string>();
        let published = 0;
        let ackAt = 0;
        const ack = (): void => {
          const delivery = onB.deliveries[ackAt];
          if (delivery === undefined) return;
          ackAt++;
          acked.add(delivery.body);
          onB.queue().settle(holder, delivery.epoch, delivery.position, SettleOutcome.accept);
        };
        for (const s of steps) {
          if (s === 'publish') onB.publish(++published);
          else if (s === 'ack') ack();
          else if (s === 'frame-a') two.networkA.step();
          else if (s === 'frame-b') two.networkB.step();
          else if (s === 'turns') two.turns();
          else {
            two.cut();
            two.connect();
          }
        }
        for (let round = 0; round < published + 5; round++) {
          two.settle();
          while (ackAt < onB.deliveries.length) ack();
        }
        assert.deepEqual(
          [...onB.confirmed].sort((a, b) => a - b),
          numbers(published).map(Number),
        );
        // What the client has acked or holds never comes again on a connection that it kept.
        assert.deepEqual(onB.bodies, numbers(published));
        onB.queue().counts(onB, 1);
        two.settle();
        assert.deepEqual(onB.replies.at(-1), { type: 'counts', counts: { ready: 0, unsettled: 0, consumers: 1 } });
      }),
      { numRuns: 300 },
    );
  });
});

describe('a node goes', () => {
  test('the one of the client: what it held is ready again at once, its later life is another one', async () => {
    const { two, onA, onB } = await setUp();
    onB.subscribe();
    onA.publish('1');
    two.settle();
    two.restartB();
    onA.subscribe();
    two.settle();
    assert.deepEqual(
      onA.deliveries.map((d) => [d.body, d.isRedelivered]),
      [['1', true]],
    );
    const again = new Client(two.b);
    again.publish('from the new life');
    two.settle();
    assert.deepEqual(again.confirmed, [1]);
    assert.deepEqual(onA.bodies, ['1', 'from the new life']);
  });

  test('the leader: publishes are refused, consumers cancelled, questions told which node is missing', async () => {
    const { two, onB } = await setUp();
    onB.subscribe();
    two.settle();
    two.cut();
    onB.publish('unanswered');
    const node = two.b.metadata.view.get('nodes', NODE_A)!;
    two.b.metadata.view.put('nodes', { ...node, isUp: false });
    two.b.broker.onChanges(two.b.metadata.view.takeChanges());
    two.settle();
    assert.deepEqual(onB.sink.done, [[1, false]]);
    assert.deepEqual(onB.cancels, ['unavailable']);
    assert.equal(onB.publish('later'), PublishResult.rejected);
    onB.queue().counts(onB, 2);
    const reply = onB.replies.at(-1);
    assert.equal(
      reply?.type === 'refused' ? reply.refusal.message : reply?.type,
      "home node 'rabbit@node-a' of durable queue 'q' in vhost '/' is down or inaccessible",
    );
    assert.equal(onB.queue().status().state, 'down');
  });

  test('rule 22: what a former life of the leader may have taken is redelivered, all of it', async () => {
    const { two, onA } = await setUp();
    await two.b.session().declareQueue(queueRequest('q2', { isDurable: true }));
    two.settle();
    for (const body of numbers(3)) onA.publish(body, 'q2');
    two.restartB();
    two.settle();
    onA.publish('4', 'q2');
    onA.subscribe({}, onA.queue('q2'));
    two.settle();
    assert.deepEqual(
      onA.deliveries.map((d) => [d.body, d.isRedelivered]),
      [
        ['1', true],
        ['2', true],
        ['3', true],
        ['4', false],
      ],
    );
    assert.deepEqual(onA.confirmed, [1, 2, 3, 4]);
  });

  test('a queue declared on the other node is led there', async () => {
    const { two, onA } = await setUp();
    await two.b.session().declareQueue(queueRequest('q2', { isDurable: true }));
    two.settle();
    assert.ok(onA.queue('q2') instanceof RemoteQueue);
    assert.equal(two.a.metadata.view.get('queues', '["/","q2"]')?.leader, NODE_B);
  });
});
