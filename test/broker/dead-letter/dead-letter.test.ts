/**
 * Dead letters from fake queue to fake queue: content of the copy, routing keys, when
 * the source is told, circles, chains and limits.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeathReason } from '../../../node/broker/queue/context.ts';
import { PublishOutcome } from '../../../node/broker/queue/queue.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { decodeProperties } from '../../../proto/amqp091/properties.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { FakeQueue } from '../support/fake-queue.ts';
import { type MessageOptions, message } from '../support/messages.ts';
import { queueRequest, World } from '../support/world.ts';

const text = (v: string): FieldValue => ({ t: 'S', v });
const { pending, accepted, rejected, moved } = PublishOutcome;

class Graveyard {
  readonly world = new World();
  readonly answered: number[] = [];
  private token = 0;

  async queue(name: string, exchange: string | null = null, routingKey: string | null = null): Promise<FakeQueue> {
    const table: [string, FieldValue][] = [];
    if (exchange !== null) table.push(['x-dead-letter-exchange', text(exchange)]);
    if (routingKey !== null) table.push(['x-dead-letter-routing-key', text(routingKey)]);
    await this.world.session().declareQueue(queueRequest(name, { arguments: table }));
    return this.world.queue(name);
  }

  async bind(source: string, destination: string, routingKey: string): Promise<void> {
    const request = { source, destinationKind: 'queue', destination, routingKey, arguments: [] } as const;
    await this.world.session().bind(request);
  }

  die(queue: FakeQueue, dead: Message, reason: DeathReason = 'rejected'): void {
    const sink = { onDeadLettered: (token: number) => this.answered.push(token), onDeadLetterRoom: () => {} };
    this.world.context!.deadLetters.publish(queue, dead, reason, 1, ++this.token, sink, this.token);
  }
}

const dying = (options: MessageOptions = {}) => message('x', 'k', options);
const bodiesOf = (queue: FakeQueue) => queue.taken.map((taken) => taken.message.body().toString());
const headersOf = (m: Message): FieldTable =>
  decodeProperties(m.bytes, m.propertiesStart, m.propertiesEnd).headers ?? [];

test('behaviours 131, 133 and 136: the copy has new headers, no expiration, and everything else as it was', async () => {
  const yard = new Graveyard();
  const source = await yard.queue('source', '', 'target');
  const target = await yard.queue('target');
  yard.die(source, dying({ expiration: '20', deliveryMode: 2, priority: 3, contentType: 'text/plain', body: 'b' }));
  const copy = target.taken[0]!.message;
  const properties = decodeProperties(copy.bytes, copy.propertiesStart, copy.propertiesEnd);
  assert.deepEqual([copy.address.exchange, copy.address.routingKey], ['', 'target']);
  assert.deepEqual([copy.isPersistent, copy.priority, copy.expirationMs, copy.body().toString()], [true, 3, -1, 'b']);
  assert.deepEqual([properties.expiration, properties.contentType, properties.priority], [null, 'text/plain', 3]);
  assert.deepEqual(
    headersOf(copy).map(([name]) => name),
    ['x-death', 'x-first-death-exchange', 'x-first-death-queue', 'x-first-death-reason'],
  );
  assert.deepEqual(yard.answered, [1]);
});

test('behaviour 133: without a dead-letter routing key the original keys are used, CC and BCC included', async () => {
  const yard = new Graveyard();
  const source = await yard.queue('source', 'amq.direct');
  const targets = await Promise.all(['t1', 't2', 't3'].map((name) => yard.queue(name)));
  await yard.bind('amq.direct', 't1', 'k');
  await yard.bind('amq.direct', 't2', 'cc');
  await yard.bind('amq.direct', 't3', 'bcc');
  const copies = (key: string): FieldValue => ({ t: 'A', v: [text(key)] });
  yard.die(
    source,
    dying({
      headers: [
        ['CC', copies('cc')],
        ['BCC', copies('bcc')],
      ],
      body: 'b',
    }),
  );
  assert.deepEqual(targets.map(bodiesOf), [['b'], ['b'], ['b']]);
  const keyed = await yard.queue('keyed', 'amq.direct', 'k');
  yard.die(keyed, dying({ headers: [['CC', copies('cc')]], body: 'c' }));
  assert.deepEqual(targets.map(bodiesOf), [['b', 'c'], ['b'], ['b']]);
  assert.equal(new Map(headersOf(targets[0]!.taken[1]!.message)).get('CC'), undefined);
});

test('behaviour 135: without exchange, without queue, or without dead-letter exchange the message is dropped', async () => {
  const yard = new Graveyard();
  for (const queue of [
    await yard.queue('a', 'missing'),
    await yard.queue('b', 'amq.direct', 'nobody'),
    await yard.queue('c'),
    await yard.queue('d', 'amq.direct', 'x'.repeat(300)),
  ]) {
    yard.die(queue, dying());
  }
  assert.deepEqual(yard.answered, [1, 2, 3, 4]);
});

test('a dead letter that goes nowhere is counted; of a circle and of a limit an operator is told, once for each queue', async () => {
  const yard = new Graveyard();
  const lonely = await yard.queue('lonely', 'missing');
  const circle = await yard.queue('circle', '', 'circle');
  const long = await yard.queue('long', 'amq.direct', 'x'.repeat(300));
  for (const queue of [lonely, circle, long, circle]) yard.die(queue, dying(), 'expired');
  assert.deepEqual(
    [lonely, circle, long].map((queue) => queue.counters.deadLettersLost),
    [1, 2, 1],
  );
  assert.deepEqual(yard.world.notes, [
    "dead letters of queue 'circle' in vhost '/' are dropped: they go round in a circle",
    "dead letters of queue 'long' in vhost '/' are dropped: the routing key is longer than 255 bytes",
  ]);
});

test('behaviour 135: a queue that dead-letters to itself keeps rejected messages and drops expired ones', async () => {
  const yard = new Graveyard();
  const queue = await yard.queue('self', '', 'self');
  yard.die(queue, dying({ body: 'expired' }), 'expired');
  assert.deepEqual(bodiesOf(queue), []);
  yard.die(queue, dying({ body: 'rejected' }), 'rejected');
  yard.die(queue, queue.taken[0]!.message, 'rejected');
  assert.deepEqual(bodiesOf(queue), ['rejected', 'rejected']);
  assert.deepEqual(yard.answered, [1, 2, 3]);
});

test('the source is told when every target has it, not before', async () => {
  const yard = new Graveyard();
  const source = await yard.queue('source', 'amq.fanout');
  const [a, b] = [await yard.queue('a'), await yard.queue('b')];
  for (const queue of [a, b]) {
    queue.outcomes = [pending];
    await yard.bind('amq.fanout', queue.definition.name, '');
  }
  yard.die(source, dying());
  a.answer(accepted);
  assert.deepEqual(yard.answered, []);
  b.answer(accepted);
  assert.deepEqual(yard.answered, [1]);
});

test('a target that refuses loses its copy, one whose leader moved is asked again', async () => {
  const yard = new Graveyard();
  const source = await yard.queue('source', '', 'target');
  const target = await yard.queue('target');
  target.outcomes = [rejected];
  yard.die(source, dying());
  assert.deepEqual(yard.answered, [1]);
  target.outcomes = [moved, accepted];
  yard.die(source, dying({ body: 'again' }));
  assert.deepEqual(yard.answered, [1]);
  yard.world.endTurns();
  assert.deepEqual([bodiesOf(target), yard.answered], [['again'], [1, 2]]);
});

// Each queue drops an older message while it takes one: without the line this would be some 20,000 stack frames.
test('a chain of overflowing queues does not grow the stack', async () => {
  const yard = new Graveyard();
  const length = 4000;
  const queues: FakeQueue[] = [];
  for (let i = 0; i < length; i++) queues.push(await yard.queue(`q${i}`, '', `q${i + 1}`));
  for (const queue of queues) queue.onPublish = () => yard.die(queue, dying(), 'maxlen');
  yard.die(queues[0]!, dying({ body: 'falls' }), 'maxlen');
  assert.equal(queues.filter((queue) => queue.taken.length === 1).length, length - 1);
  assert.equal(yard.answered.length, length);
});

test('one message that falls through ever new queues ends after 256 of them', async () => {
  const yard = new Graveyard();
  const queues: FakeQueue[] = [];
  for (let i = 0; i < 300; i++) queues.push(await yard.queue(`q${i}`, '', `q${i + 1}`));
  for (const queue of queues) queue.onPublish = ({ message: m }) => yard.die(queue, m, 'maxlen');
  yard.die(queues[0]!, dying(), 'maxlen');
  assert.equal(queues.filter((queue) => queue.taken.length > 0).length, 256);
  assert.equal(yard.answered.length, 257);
});

test('headers that leave no room for a death are not written in a way that nobody could read', async () => {
  const yard = new Graveyard();
  const source = await yard.queue('source', '', 'target');
  const target = await yard.queue('target');
  const many: FieldValue = { t: 'A', v: Array.from({ length: 16_380 }, () => ({ t: 't', v: true }) as const) };
  yard.die(source, dying({ headers: [['many', many]] }));
  assert.deepEqual([bodiesOf(target), yard.answered], [[], [1]]);
});

test('a policy change moves where the dead go', async () => {
  const yard = new Graveyard();
  const source = await yard.queue('source');
  const target = await yard.queue('target');
  yard.die(source, dying());
  yard.world.policies.byName.set('source', { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'target' });
  yard.world.metadata.apply({
    type: 'put-policy',
    isOperator: false,
    policy: { vhost: '/', name: 'p', pattern: '.*', applyTo: 'all', definition: {}, priority: 0 },
  });
  yard.die(source, dying({ body: 'second' }));
  assert.deepEqual(bodiesOf(target), ['second']);
});
