/**
 * Answers that random scripts sent to both brokers (test/differential) have
 * shown to matter, each as a script of its own. The number in brackets is the
 * behaviour that it belongs to.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { uniqueName } from '../../support/raw-client/channel.ts';
import { FrameType } from '../../support/raw-client/connection.ts';
import { type TableInput, typed } from '../../support/raw-client/table.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('declaring', { concurrency: true }, () => {
  test('[63] a quorum queue cannot be named by the server, whatever else is wrong', async (t) => {
    const channel = await broker.channel(t);
    const text = 'PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue';
    const table = { 'x-queue-type': 'quorum', 'x-message-ttl': -1 };
    await channel.refused('queue.declare', { arguments: table }, 406, text);
  });

  test('[64] the empty name of a passive declare is no short form for the last one', async (t) => {
    const channel = await broker.channel(t);
    await channel.declareQueue();
    await channel.refused('queue.declare', { passive: true }, 404, "NOT_FOUND - no queue '' in vhost '/'");
  });

  test('[71] to name the type classic and to name none is the same', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.declareQueue({ queue, arguments: { 'x-queue-type': 'classic' } });
    const named = await channel.declareQueue({ arguments: { 'x-queue-type': 'classic' } });
    await channel.declareQueue({ queue: named });
  });

  test('[71] arguments of another queue type are not compared', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.declareQueue({ queue, arguments: { 'x-delivery-limit': 5, 'x-max-in-memory-length': 5 } });
  });

  test('[71] strings and byte arrays, and integers and timestamps, are of one kind', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-dead-letter-exchange': 'x', 'x-max-length': 5 } });
    const same = { 'x-dead-letter-exchange': typed('x', Buffer.from('x')), 'x-max-length': typed('T', 5) };
    await channel.declareQueue({ queue, arguments: same });
  });

  const PRINTED: readonly (readonly [value: TableInput, text: string])[] = [
    [typed('d', 1), "the value '1.0' of type 'double'"],
    [typed('d', 1e22), "the value '1.0e22' of type 'double'"],
    [typed('d', -0.0015), "the value '-0.0015' of type 'double'"],
    [typed('A', [1, 'abc']), "the value '[{signedint,1},{longstr,<<\"abc\">>}]' of type 'array'"],
    [typed('F', { a: true }), "the value '[{<<\"a\">>,bool,true}]' of type 'table'"],
    [null, "the value 'undefined' of type 'void'"],
  ];
  for (const [value, text] of PRINTED) {
    test(`[71] ${text} is printed as an Erlang term`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue();
      const inequivalent = `inequivalent arg 'x-max-length' for queue '${queue}' in vhost '/'`;
      await channel.refused(
        'queue.declare',
        { queue, arguments: { 'x-max-length': value } },
        406,
        `PRECONDITION_FAILED - ${inequivalent}: received ${text} but current is none`,
      );
    });
  }

  test('[71] a text that is too long for a short string ends in three dots', async (t) => {
    const channel = await broker.channel(t);
    const queue = 'q'.repeat(240);
    const text = `NOT_FOUND - no queue '${queue}' in vhost '/'`;
    await channel.refused('queue.declare', { queue, passive: true }, 404, `${text.slice(0, 252)}...`);
  });
});

describe('publishing', { concurrency: true }, () => {
  for (const deliveryMode of [0, 3, 255]) {
    test(`[101] delivery mode ${deliveryMode} is refused`, async (t) => {
      const channel = await broker.channel(t);
      channel.publish({ routingKey: await channel.declareQueue(), properties: { deliveryMode } });
      const text = `PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,${deliveryMode}}`;
      await channel.expectClose(406, text, 'basic.publish');
    });
  }

  for (const how of ['in one go', 'frame by frame'] as const) {
    test(`[39] a content header with a weight is none, sent ${how}`, async (t) => {
      const connection = await broker.connect(t);
      await connection.openChannel(1);
      const header = Buffer.from('003c000700000000000000000000', 'hex');
      connection.sendMethod(1, 'basic.publish', { routingKey: 'nobody' });
      if (how === 'frame by frame') await new Promise((resolve) => setImmediate(resolve));
      connection.sendFrame(FrameType.header, 1, header);
      await connection.expectClose(
        505,
        'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead',
        'basic.publish',
      );
    });
  }
});

describe('consuming', { concurrency: true }, () => {
  test('[113] a tag that is taken is noticed before a queue that is missing', async (t) => {
    const channel = await broker.channel(t);
    await channel.consume(await channel.declareQueue(), { consumerTag: 'dup' });
    channel.send('basic.consume', { queue: uniqueName('missing'), consumerTag: 'dup' });
    await channel.connection.expectClose(530, "NOT_ALLOWED - attempt to reuse consumer tag 'dup'", 'basic.consume');
  });

  const REFUSED: readonly (readonly [type: string, name: string, value: TableInput, text: string])[] = [
    ['classic', 'x-cancel-on-ha-failover', 5, ': {unacceptable_type,signedint}'],
    ['classic', 'x-stream-offset', 5, ' of queue type rabbit_classic_queue'],
    ['quorum', 'x-cancel-on-ha-failover', true, ' of queue type rabbit_quorum_queue'],
  ];
  for (const [type, name, value, text] of REFUSED) {
    test(`[121] the consumer argument ${name} ${JSON.stringify(value)} is refused on a ${type} queue`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue({ durable: true, arguments: { 'x-queue-type': type } });
      t.after(() => channel.send('queue.delete', { queue }));
      const refusal = `PRECONDITION_FAILED - invalid arg '${name}' for queue '${queue}' in vhost '/'${text}`;
      await channel.refused('basic.consume', { queue, arguments: { [name]: value } }, 406, refusal);
    });
  }

  test('[120] a prefetch for each consumer ends that of the channel', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.qos(1, { global: true });
    channel.publishTo(queue, 'a', 'b', 'c');
    await channel.consume(queue);
    await channel.nextDelivery();
    await channel.expectSilence(queue);
    await channel.qos(5);
    assert.deepEqual(
      (await channel.nextDeliveries(2)).map(({ body }) => body),
      ['b', 'c'],
    );
  });

  test('[120] [121] a consumer that is full keeps its turn until it comes', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.qos(1);
    for (const consumerTag of ['one', 'two']) await channel.consume(queue, { consumerTag });
    const next = async (body: string): Promise<readonly [string, number]> => {
      channel.publishTo(queue, body);
      const delivery = await channel.nextDelivery();
      return [delivery.text('consumerTag'), delivery.deliveryTag];
    };
    const [first, second] = [await next('a'), await next('b')];
    assert.deepEqual([first[0], second[0]], ['one', 'two']);
    channel.ack(second[1]);
    channel.ack(first[1]);
    assert.deepEqual([(await next('c'))[0], (await next('d'))[0]], ['one', 'two']);
  });
});

describe('expiry and limits', { concurrency: true }, () => {
  test('[116] [129] get-ok does not count what expires behind the message it brings', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, body: 'first' });
    channel.publish({ routingKey: queue, body: 'second', properties: { expiration: '1' } });
    channel.publish({ routingKey: queue, body: 'third' });
    const later = await channel.declareQueue();
    const waiting = await channel.declareQueue({
      arguments: { 'x-message-ttl': 50, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': later },
    });
    channel.publishTo(waiting, 'time is up');
    await channel.consume(later);
    await channel.nextDelivery(); // 50 ms have passed
    const got = await channel.mustGet(queue);
    assert.deepEqual([got.body, got.number('messageCount')], ['first', 1]);
  });

  test('[128] what comes back to a full queue is subject to its length before consumers get it', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': 1 } });
    await channel.qos(1);
    await channel.consume(queue);
    channel.publishTo(queue, 'a');
    const first = await channel.nextDelivery();
    channel.publishTo(queue, 'b');
    channel.nack(first.deliveryTag, { requeue: true });
    assert.equal((await channel.nextDelivery()).body, 'b');
  });

  test('[129] [134] messages that no longer live make no queue full', async (t) => {
    const channel = await broker.channel(t);
    const dead = await channel.declareQueue();
    const queue = await channel.declareQueue({
      arguments: {
        'x-message-ttl': 0,
        'x-max-length': 1,
        'x-overflow': 'reject-publish',
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead,
      },
    });
    await channel.call('confirm.select');
    channel.publishTo(queue, 'a', 'b', 'c');
    await channel.expectAcks(3);
    assert.deepEqual(await channel.drain(dead), ['a', 'b', 'c']);
  });
});
