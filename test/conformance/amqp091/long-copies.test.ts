/**
 * CC and BCC are lists of long strings: a routing key in them may be longer
 * than the 255 bytes of one in basic.publish, and the message with it is as
 * safe as any other (behaviour 104).
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';

const broker = await startBroker({ isDurable: true });
after(() => broker.stop());

test('persistent messages with routing keys of 300 bytes in CC and BCC come back after a restart', async (t) => {
  const channel = await broker.channel(t);
  const queue = await channel.declareQueue({ durable: true });
  await channel.call('confirm.select');
  const headers = { CC: ['c'.repeat(300), 'short', 'ü'.repeat(200)], BCC: ['b'.repeat(256)] };
  for (const body of ['before', 'copied', 'after']) {
    channel.publish({
      routingKey: queue,
      body,
      properties: { deliveryMode: 2, ...(body === 'copied' ? { headers } : {}) },
    });
  }
  await channel.expectAcks(3);
  await broker.restart();
  const again = await broker.channel(t);
  assert.deepEqual(await again.drain(queue), ['before', 'copied', 'after']);
  await again.call('queue.delete', { queue });
});
