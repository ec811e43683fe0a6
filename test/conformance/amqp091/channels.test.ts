/** Channels: opening, closing, their states and limits (behaviours 23 to 30). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { type RawChannel, uniqueName } from '../../support/raw-client/channel.ts';

const NOT_OPEN = "CHANNEL_ERROR - expected 'channel.open'";

const broker = await startBroker();
after(() => broker.stop());

describe('channels', { concurrency: true }, () => {
  test('[23] channel_max limits how many channels are open, not their numbers', async (t) => {
    const connection = await broker.connect(t, { channelMax: 5 });
    for (const number of [1, 2, 3, 4, 6]) await connection.openChannel(number);
    connection.sendMethod(7, 'channel.open');
    await connection.expectClose(
      530,
      'NOT_ALLOWED - number of channels opened (5) has reached the negotiated channel_max (5)',
      null,
    );
  });

  test('[23] channel 2048 opens with channel_max 2047, and a closed channel makes room', async (t) => {
    const connection = await broker.connect(t);
    await connection.openChannel(2048);
    const small = await broker.connect(t, { channelMax: 1 });
    for (const number of [1, 2, 3]) await (await small.openChannel(number)).close();
  });

  test('[24] opening an open channel ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('channel.open');
    await channel.connection.expectClose(504, "CHANNEL_ERROR - second 'channel.open' seen", 'channel.open');
  });

  for (const method of ['queue.declare', 'basic.ack', 'channel.close', 'connection.open']) {
    test(`[25] ${method} on a channel that is not open ends the connection`, async (t) => {
      const connection = await broker.connect(t);
      connection.sendMethod(3, method);
      await connection.expectClose(504, NOT_OPEN, method);
    });
  }

  test('[26] a method of a channel on channel 0 ends the connection', async (t) => {
    const connection = await broker.connect(t);
    connection.sendMethod(0, 'queue.declare', { queue: 'q' });
    await connection.expectClose(504, 'CHANNEL_ERROR - unexpected method in connection state running', 'queue.declare');
  });

  test('[27] channel.flow can only be turned on', async (t) => {
    const channel = await broker.channel(t);
    const flowOk = await channel.call('channel.flow', { active: true });
    assert.equal(flowOk.flag('active'), true);
    channel.send('channel.flow', { active: false });
    await channel.connection.expectClose(540, 'NOT_IMPLEMENTED - active=false', 'channel.flow');
  });

  test('[28] after closing a channel the server drops what was pipelined until close-ok', async (t) => {
    const channel = await broker.channel(t);
    const pipelined = uniqueName('pipelined');
    channel.send('queue.declare', { queue: 'missing', passive: true });
    channel.send('queue.declare', { queue: pipelined });
    await channel.expectClose(404, "NOT_FOUND - no queue 'missing' in vhost '/'", 'queue.declare');
    await channel.reopen();
    await channel.refused(
      'queue.declare',
      { queue: pipelined, passive: true },
      404,
      `NOT_FOUND - no queue '${pipelined}' in vhost '/'`,
    );
  });

  test('[29] a method after the client closed the channel ends the connection', async (t) => {
    const channel = await broker.channel(t);
    await channel.close();
    channel.send('queue.declare', { queue: 'q' });
    await channel.connection.expectClose(504, NOT_OPEN, 'queue.declare');
  });

  test('[30] delivery tags start again at 1 on a reopened channel', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b');
    assert.equal((await channel.mustGet(queue)).deliveryTag, 1);
    assert.equal((await channel.mustGet(queue)).deliveryTag, 2);
    await channel.close();
    await channel.reopen();
    assert.equal((await channel.mustGet(queue)).deliveryTag, 1);
  });

  test('[30] tags of two channels are independent', async (t) => {
    const connection = await broker.connect(t);
    const channels: RawChannel[] = [await connection.openChannel(), await connection.openChannel()];
    for (const channel of channels) {
      const queue = await channel.declareQueue();
      channel.publishTo(queue, 'a');
      assert.equal((await channel.mustGet(queue)).deliveryTag, 1);
    }
  });
});
