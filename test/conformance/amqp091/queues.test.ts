/** Queues: names, declaring, exclusivity, deleting, life time (behaviours 63 to 78). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { type RawChannel, uniqueName } from '../../support/raw-client/channel.ts';
import { CAPABILITIES } from '../../support/raw-client/connect.ts';
import { typed } from '../../support/raw-client/table.ts';

const GENERATED = /^amq\.gen-[A-Za-z0-9_-]{22}$/;

const broker = await startBroker();
after(() => broker.stop());

describe('queues', { concurrency: true }, () => {
  test('[63] the server makes a name where the client gives none', async (t) => {
    const channel = await broker.channel(t);
    const first = await channel.declareQueue({ queue: '' });
    const second = await channel.declareQueue({ queue: '' });
    assert.match(first, GENERATED);
    assert.match(second, GENERATED);
    assert.notEqual(first, second);
  });

  test('[64] the empty name means the last declared queue of the channel', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ queue: '' });
    await channel.bind('', 'amq.fanout');
    channel.publishTo(queue, 'a', 'b');
    assert.equal((await channel.mustGet('', { noAck: true })).body, 'a');
    assert.equal((await channel.call('queue.purge', { queue: '' })).number('messageCount'), 1);
    await channel.consume('', { noAck: true });
    channel.publishTo(queue, 'c');
    assert.equal((await channel.nextDelivery()).body, 'c');
    await channel.call('queue.delete', { queue: '' });
    await channel.expect('basic.cancel');
    await channel.refused(
      'queue.declare',
      { queue, passive: true },
      404,
      `NOT_FOUND - no queue '${queue}' in vhost '/'`,
    );
  });

  for (const { method, fields } of [
    { method: 'queue.bind', fields: { exchange: 'amq.fanout' } },
    { method: 'queue.purge', fields: {} },
    { method: 'basic.get', fields: {} },
    { method: 'basic.consume', fields: {} },
    { method: 'queue.delete', fields: {} },
  ]) {
    test(`[64] ${method} with the empty name and no queue declared before is refused`, async (t) => {
      const channel = await broker.channel(t);
      await channel.refused(method, fields, 404, 'NOT_FOUND - no previously declared queue');
    });
  }

  test('[65] a new queue name with the reserved prefix is refused, a passive look finds nothing', async (t) => {
    const channel = await broker.channel(t);
    await channel.refused(
      'queue.declare',
      { queue: 'amq.foo' },
      403,
      "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
    );
    await channel.refused(
      'queue.declare',
      { queue: 'amq.foo', passive: true },
      404,
      "NOT_FOUND - no queue 'amq.foo' in vhost '/'",
    );
  });

  for (const { method, fields } of [
    { method: 'queue.declare', fields: { passive: true } },
    { method: 'queue.declare', fields: { passive: true, nowait: true } },
    { method: 'queue.purge', fields: {} },
    { method: 'queue.purge', fields: { nowait: true } },
    { method: 'basic.consume', fields: {} },
    { method: 'basic.consume', fields: { nowait: true } },
    { method: 'basic.get', fields: {} },
    { method: 'queue.bind', fields: { exchange: 'amq.fanout' } },
    { method: 'queue.bind', fields: { exchange: 'amq.fanout', nowait: true } },
  ]) {
    test(`[66] ${method} ${JSON.stringify(fields)} of a missing queue is refused`, async (t) => {
      const channel = await broker.channel(t);
      const queue = uniqueName('missing');
      await channel.refused(method, { queue, ...fields }, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`);
    });
  }

  test('[67] deleting or unbinding what is not there succeeds', async (t) => {
    const channel = await broker.channel(t);
    const missing = uniqueName('missing');
    assert.equal((await channel.call('queue.delete', { queue: missing })).number('messageCount'), 0);
    const queue = await channel.declareQueue();
    await channel.call('queue.unbind', { queue: missing, exchange: 'amq.fanout' });
    await channel.call('queue.unbind', { queue, exchange: missing });
    await channel.call('queue.unbind', { queue, exchange: 'amq.fanout', routingKey: 'never bound' });
  });

  for (const { argument, change } of [
    { argument: 'durable', change: { durable: true } },
    { argument: 'auto_delete', change: { autoDelete: true } },
  ]) {
    test(`[68] a redeclaration with another ${argument} is refused`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue();
      await channel.refused(
        'queue.declare',
        { queue, ...change },
        406,
        `PRECONDITION_FAILED - inequivalent arg '${argument}' for queue '${queue}' in vhost '/': ` +
          "received 'true' but current is 'false'",
      );
    });
  }

  test('[69] a redeclaration of a shared queue as exclusive is refused', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.refused('queue.declare', { queue, exclusive: true }, 405, locked(queue));
  });

  for (const { method, fields } of [
    { method: 'queue.declare', fields: { exclusive: true } },
    { method: 'queue.declare', fields: {} },
    { method: 'queue.declare', fields: { passive: true } },
    { method: 'basic.get', fields: {} },
    { method: 'basic.consume', fields: {} },
    { method: 'queue.purge', fields: {} },
    { method: 'queue.delete', fields: {} },
    { method: 'queue.bind', fields: { exchange: 'amq.fanout' } },
  ]) {
    test(`[69] ${method} ${JSON.stringify(fields)} of another connection's exclusive queue is refused`, async (t) => {
      const owner = await broker.channel(t);
      const stranger = await broker.channel(t);
      const queue = await owner.declareQueue({ exclusive: true });
      await stranger.refused(method, { queue, ...fields }, 405, locked(queue));
    });
  }

  test("[70] publishing to another connection's exclusive queue works", async (t) => {
    const owner = await broker.channel(t);
    const stranger = await broker.channel(t);
    const queue = await owner.declareQueue({ exclusive: true });
    await owner.consume(queue, { noAck: true });
    stranger.publishTo(queue, 'hello');
    assert.equal((await owner.nextDelivery()).body, 'hello');
  });

  for (const { argument, tag, type, value, other } of [
    { argument: 'x-message-ttl', tag: 'I', type: 'signedint', value: 60_005, other: 60_006 },
    { argument: 'x-expires', tag: 'I', type: 'signedint', value: 60_005, other: 60_006 },
    { argument: 'x-max-length', tag: 'b', type: 'byte', value: 5, other: 6 },
    { argument: 'x-max-length-bytes', tag: 'I', type: 'signedint', value: 5, other: 6 },
    { argument: 'x-max-priority', tag: 'b', type: 'byte', value: 5, other: 6 },
    { argument: 'x-dead-letter-exchange', tag: 'S', type: 'longstr', value: 'amq.fanout', other: 'amq.topic' },
    { argument: 'x-overflow', tag: 'S', type: 'longstr', value: 'drop-head', other: 'reject-publish' },
    { argument: 'x-queue-mode', tag: 'S', type: 'longstr', value: 'lazy', other: 'default' },
  ]) {
    test(`[71] ${argument} added, changed or removed in a redeclaration is refused`, async (t) => {
      const channel = await broker.channel(t);
      const plainQueue = await channel.declareQueue();
      const queue = await channel.declareQueue({ arguments: { [argument]: typed(tag, value) } });
      await channel.declareQueue({ queue, arguments: { [argument]: typed(tag, value) } });
      const refusal = (name: string, difference: string) =>
        `PRECONDITION_FAILED - inequivalent arg '${argument}' for queue '${name}' in vhost '/': ${difference}`;
      await channel.refused(
        'queue.declare',
        { queue: plainQueue, arguments: { [argument]: typed(tag, value) } },
        406,
        refusal(plainQueue, `received the value '${value}' of type '${type}' but current is none`),
      );
      await channel.refused(
        'queue.declare',
        { queue, arguments: { [argument]: typed(tag, other) } },
        406,
        refusal(queue, `received '${other}' but current is '${value}'`),
      );
      await channel.refused(
        'queue.declare',
        { queue },
        406,
        refusal(queue, `received none but current is the value '${value}' of type '${type}'`),
      );
    });
  }

  test('[71] another x-dead-letter-routing-key in a redeclaration is refused', async (t) => {
    const channel = await broker.channel(t);
    const args = { 'x-dead-letter-exchange': 'amq.direct', 'x-dead-letter-routing-key': 'one' };
    const queue = await channel.declareQueue({ arguments: args });
    await channel.refused(
      'queue.declare',
      { queue, arguments: { ...args, 'x-dead-letter-routing-key': 'two' } },
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-routing-key' for queue '${queue}' in vhost '/': ` +
        "received 'two' but current is 'one'",
    );
  });

  test('[71] the width of an integer and unknown arguments do not matter', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': typed('b', 5), 'x-anything': 1 } });
    await channel.declareQueue({ queue, arguments: { 'x-max-length': typed('l', 5), 'x-anything': 2 } });
  });

  test('[71] x-queue-type quorum on a plain queue: current is none', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ durable: true });
    await channel.refused(
      'queue.declare',
      { queue, durable: true, arguments: { 'x-queue-type': 'quorum' } },
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '${queue}' in vhost '/': ` +
        "received the value 'quorum' of type 'longstr' but current is none",
    );
  });

  test('[72] declare-ok counts ready messages and consumers; a passive declare ignores the rest', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b', 'c');
    await channel.mustGet(queue);
    assert.deepEqual(await channel.inspect(queue), { messages: 2, consumers: 0 });
    await channel.qos(1);
    await channel.consume(queue);
    await channel.nextDelivery();
    const declareOk = await channel.call('queue.declare', {
      queue,
      passive: true,
      durable: true,
      autoDelete: true,
      arguments: { 'x-max-length': 1, 'x-message-ttl': 'nonsense' },
    });
    assert.deepEqual(declareOk.fields, { queue, messageCount: 1, consumerCount: 1 });
  });

  test('[73] purge and delete count ready messages only; purge leaves the unsettled', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b', 'c');
    const held = await channel.mustGet(queue);
    assert.equal((await channel.call('queue.purge', { queue })).number('messageCount'), 2);
    channel.nack(held.deliveryTag, { requeue: true });
    assert.equal((await channel.mustGet(queue)).body, 'a');
    channel.publishTo(queue, 'd', 'e');
    assert.equal((await channel.call('queue.delete', { queue })).number('messageCount'), 2);
  });

  test('[74] if-empty and if-unused keep a queue that is not', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a');
    await channel.refused(
      'queue.delete',
      { queue, ifEmpty: true },
      406,
      `PRECONDITION_FAILED - queue '${queue}' in vhost '/' not empty`,
    );
    const other = await broker.channel(t);
    await other.consume(queue, { noAck: true });
    await channel.refused(
      'queue.delete',
      { queue, ifUnused: true },
      406,
      `PRECONDITION_FAILED - queue '${queue}' in vhost '/' in use`,
    );
  });

  for (const end of ['cancel', 'channel', 'connection'] as const) {
    test(`[75] an auto-delete queue goes with its last consumer's ${end}`, async (t) => {
      const observer = await broker.channel(t);
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue({ autoDelete: true });
      assert.deepEqual(await observer.inspect(queue), { messages: 0, consumers: 0 }, 'kept while it never had one');
      const consumerTag = await channel.consume(queue);
      if (end === 'cancel') await channel.cancel(consumerTag);
      if (end === 'channel') await channel.close();
      if (end === 'connection') await channel.connection.close();
      await expectGone(observer, queue);
    });
  }

  test('[75] an unused queue with x-expires goes, a consumer keeps it', async (t) => {
    const channel = await broker.channel(t);
    const used = uniqueName('used');
    channel.send('queue.declare', { queue: used, arguments: { 'x-expires': 1500 } });
    channel.send('basic.consume', { queue: used }); // at once: on a busy machine an answer may take its time
    await channel.expect('queue.declare-ok');
    await channel.expect('basic.consume-ok');
    const unused = await channel.declareQueue({ arguments: { 'x-expires': 1500 } });
    await waitForUnroutable(channel, unused);
    assert.deepEqual(await channel.inspect(used), { messages: 0, consumers: 1 });
  });

  test('[76] exclusive queues end with their connection', async (t) => {
    const observer = await broker.channel(t);
    const closed = await broker.channel(t);
    const cut = await broker.channel(t);
    const queues = [await closed.declareQueue({ exclusive: true }), await cut.declareQueue({ exclusive: true })];
    await closed.connection.close();
    cut.connection.destroy();
    for (const queue of queues) await expectGone(observer, queue);
  });

  for (const { what, queue } of [
    { what: '255 bytes', queue: uniqueName('long').padEnd(255, 'x') },
    { what: 'UTF-8', queue: `${uniqueName('utf8')} жäß☃` },
    { what: 'spaces and slashes', queue: `${uniqueName('odd')} / a b//c%2F` },
  ]) {
    test(`[77] a queue name may have ${what}`, async (t) => {
      const channel = await broker.channel(t);
      assert.equal(await channel.declareQueue({ queue, exclusive: true }), queue);
      channel.publishTo(queue, 'a');
      assert.equal((await channel.mustGet(queue)).text('routingKey'), queue);
    });
  }

  test('[78] consumers of a queue deleted elsewhere are told', async (t) => {
    const channel = await broker.channel(t);
    const other = await broker.channel(t);
    const queue = await channel.declareQueue();
    const consumerTag = await channel.consume(queue);
    await other.call('queue.delete', { queue });
    const cancel = await channel.expect('basic.cancel');
    assert.deepEqual(cancel.fields, { consumerTag, nowait: true });
  });

  test('[78] a consumer on the deleting channel is told after delete-ok', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    const consumerTag = await channel.consume(queue);
    await channel.call('queue.delete', { queue });
    const cancel = await channel.expect('basic.cancel');
    assert.deepEqual(cancel.fields, { consumerTag, nowait: true });
  });

  test('[78] a client without consumer_cancel_notify is not told', async (t) => {
    const channel = await broker.channel(t, { capabilities: { ...CAPABILITIES, consumer_cancel_notify: false } });
    const other = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.consume(queue);
    await other.call('queue.delete', { queue });
    await channel.expectSilence();
    await channel.close();
  });
});

function locked(queue: string): string {
  return (
    `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally ` +
    'declared on another connection or the exclusive property value does not match that of the original declaration.'
  );
}

/** Asks until the queue is no more: it goes a moment after its last user. */
async function expectGone(channel: RawChannel, queue: string): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  for (;;) {
    channel.send('queue.declare', { queue, passive: true });
    const answer = await channel.connection.next(channel.number);
    if (answer.name === 'channel.close') {
      channel.send('channel.close-ok');
      await channel.reopen();
      if (answer.text('replyText') === `NOT_FOUND - no queue '${queue}' in vhost '/'`) return;
    }
    assert.ok(performance.now() < giveUpAt, `queue ${queue} is still there: ${answer}`);
  }
}

/** Publishes, which does not count as use, until the broker has nowhere to put it. */
async function waitForUnroutable(channel: RawChannel, queue: string): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  for (;;) {
    channel.publish({ routingKey: queue, mandatory: true });
    channel.send('channel.flow', { active: true });
    const answer = await channel.connection.next(channel.number);
    if (answer.name === 'basic.return') {
      await channel.expect('channel.flow-ok');
      return;
    }
    assert.ok(performance.now() < giveUpAt, `queue ${queue} is still there`);
  }
}
