/** Publisher confirms and transactions (behaviours 107 to 112). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { type RawChannel, uniqueName } from '../../support/raw-client/channel.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('confirms', { concurrency: true }, () => {
  test('[107] confirm.select may be repeated; tags count from 1 on each channel', async (t) => {
    const connection = await broker.connect(t);
    for (const channel of [await connection.openChannel(), await connection.openChannel()]) {
      const queue = await channel.declareQueue();
      await channel.call('confirm.select');
      await channel.call('confirm.select');
      for (const sequence of [1, 2, 3]) {
        channel.publishTo(queue, 'a');
        const ack = await channel.expect('basic.ack');
        assert.deepEqual(ack.fields, { deliveryTag: sequence, multiple: false });
      }
    }
  });

  test('[107] an unroutable message is acked, after its return if it was mandatory', async (t) => {
    const channel = await broker.channel(t);
    await channel.call('confirm.select');
    channel.publish({ routingKey: uniqueName('missing'), body: 'dropped' });
    assert.equal((await channel.expect('basic.ack')).deliveryTag, 1);
    channel.publish({ routingKey: uniqueName('missing'), mandatory: true, body: 'returned' });
    assert.equal((await channel.expect('basic.return')).body, 'returned');
    assert.equal((await channel.expect('basic.ack')).deliveryTag, 2);
  });

  for (const { kind, durable, deliveryMode } of [
    { kind: 'transient', durable: false, deliveryMode: 1 },
    { kind: 'persistent', durable: true, deliveryMode: 2 },
  ]) {
    test(`[108] acks of ${kind} messages are coalesced, and cover each exactly once`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue({ durable });
      await channel.call('confirm.select');
      for (let count = 0; count < 50; count += 1) {
        channel.publish({ routingKey: queue, properties: { deliveryMode }, body: String(count) });
      }
      const acks = await readAcks(channel, 50);
      // The original acks together what its timers bring together: on a busy machine now and then each alone.
      assert.ok(acks < 50 || broker.kind === 'rabbit', `50 messages published at once took ${acks} acks`);
      await channel.expectSilence(queue);
      await channel.call('queue.delete', { queue });
    });
  }

  test('[109] [85] a queue that rejects publishes nacks them', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': 2, 'x-overflow': 'reject-publish' } });
    await channel.call('confirm.select');
    for (const [index, body] of ['a', 'b', 'c', 'd'].entries()) {
      channel.publishTo(queue, body);
      const verdict = await channel.connection.next(channel.number);
      assert.equal(verdict.name, index < 2 ? 'basic.ack' : 'basic.nack');
      assert.equal(verdict.deliveryTag, index + 1);
    }
    assert.deepEqual(await channel.drain(queue), ['a', 'b']);
    channel.publishTo(queue, 'e');
    assert.equal((await channel.expect('basic.ack')).deliveryTag, 5);
  });

  test('[110] confirm and tx exclude each other on a channel', async (t) => {
    const channel = await broker.channel(t);
    await channel.call('confirm.select');
    await channel.refused('tx.select', {}, 406, 'PRECONDITION_FAILED - cannot switch from confirm to tx mode');
    await channel.call('tx.select');
    await channel.refused('confirm.select', {}, 406, 'PRECONDITION_FAILED - cannot switch from tx to confirm mode');
  });
});

describe('transactions', { concurrency: true }, () => {
  for (const method of ['tx.commit', 'tx.rollback']) {
    test(`[111] ${method} without tx.select is refused`, async (t) => {
      const channel = await broker.channel(t);
      await channel.refused(method, {}, 406, 'PRECONDITION_FAILED - channel is not transactional');
    });
  }

  test('[112] publishes are seen after the commit, not before, and never after a rollback', async (t) => {
    const channel = await broker.channel(t);
    const observer = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.call('tx.select');
    channel.publishTo(queue, 'a', 'b');
    assert.deepEqual(await channel.inspect(queue), { messages: 0, consumers: 0 });
    await channel.call('tx.commit');
    assert.deepEqual(await observer.drain(queue), ['a', 'b']);
    channel.publishTo(queue, 'c');
    await channel.call('tx.rollback');
    await channel.call('tx.commit');
    assert.deepEqual(await observer.drain(queue), []);
  });

  test('[112] a rollback forgets acks: the delivery can be acked again', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a');
    await channel.call('tx.select');
    const { deliveryTag } = await channel.mustGet(queue);
    channel.ack(deliveryTag);
    await channel.call('tx.rollback');
    channel.ack(deliveryTag);
    await channel.call('tx.commit');
    await channel.close();
    await channel.reopen();
    assert.equal(await channel.get(queue), null);
  });

  test('[112] an ack that was not committed does not survive the channel', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b');
    await channel.call('tx.select');
    channel.ack((await channel.mustGet(queue)).deliveryTag);
    channel.reject((await channel.mustGet(queue)).deliveryTag, { requeue: false });
    await channel.close();
    await channel.reopen();
    assert.deepEqual(await channel.drain(queue), ['a', 'b']);
  });

  test('[112] an unknown tag fails at once', async (t) => {
    const channel = await broker.channel(t);
    await channel.call('tx.select');
    channel.ack(99);
    await channel.expectClose(406, 'PRECONDITION_FAILED - unknown delivery tag 99', 'basic.ack');
  });

  test('[112] a missing exchange fails at once', async (t) => {
    const channel = await broker.channel(t);
    await channel.call('tx.select');
    const exchange = uniqueName('missing');
    channel.publish({ exchange, body: 'a' });
    await channel.expectClose(404, `NOT_FOUND - no exchange '${exchange}' in vhost '/'`, 'basic.publish');
  });

  test('[112] mandatory returns come at the commit, before commit-ok', async (t) => {
    const channel = await broker.channel(t);
    await channel.call('tx.select');
    channel.publish({ routingKey: uniqueName('missing'), mandatory: true, body: 'returned' });
    await channel.expectSilence();
    channel.send('tx.commit');
    assert.equal((await channel.expect('basic.return')).body, 'returned');
    await channel.expect('tx.commit-ok');
  });

  test('[112] one commit publishes to several queues and settles, all together', async (t) => {
    const channel = await broker.channel(t);
    const [from, one, two] = [await channel.declareQueue(), await channel.declareQueue(), await channel.declareQueue()];
    channel.publishTo(from, 'work');
    await channel.call('tx.select');
    channel.ack((await channel.mustGet(from)).deliveryTag);
    channel.publishTo(one, 'result one');
    channel.publishTo(two, 'result two');
    await channel.call('tx.commit');
    await channel.close();
    await channel.reopen();
    assert.deepEqual(await channel.drain(from), []);
    assert.deepEqual(await channel.drain(one), ['result one']);
    assert.deepEqual(await channel.drain(two), ['result two']);
  });
});

/** Reads acks until `last`, each covering what no earlier one did. @returns how many it took */
async function readAcks(channel: RawChannel, last: number): Promise<number> {
  const acked = new Set<number>();
  for (let acks = 1; ; acks += 1) {
    const ack = await channel.expect('basic.ack');
    const from = ack.flag('multiple') ? 1 : ack.deliveryTag;
    for (let tag = from; tag <= ack.deliveryTag; tag += 1) acked.add(tag);
    if (!ack.flag('multiple')) assert.ok(acked.has(ack.deliveryTag));
    if (acked.size === last) return acks;
  }
}
