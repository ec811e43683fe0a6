/** The memory alarm as clients see it (behaviour 150). One test after the other: the alarm is the broker's. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { CAPABILITIES } from '../../support/raw-client/connect.ts';

const broker = await startBroker({ isOwn: true });
after(() => broker.stop());

describe('alarms', () => {
  test('[150] publishing during an alarm blocks, and only those who publish are told', async (t) => {
    const publisher = await broker.channel(t);
    const formerPublisher = await broker.channel(t);
    const consumer = await broker.channel(t);
    const deaf = await broker.channel(t, { capabilities: { ...CAPABILITIES, 'connection.blocked': false } });
    const queue = await consumer.declareQueue();
    formerPublisher.publishTo(queue, 'before');
    assert.deepEqual((await untilMessages(consumer, queue, 1)).messages, 1);

    await broker.admin.setMemoryAlarm(true);
    publisher.publishTo(queue, 'held');
    const blocked = await publisher.connection.expect(0, 'connection.blocked');
    assert.equal(blocked.text('reason'), 'low on memory');
    deaf.publishTo(queue, 'held too');

    const newcomer = await broker.channel(t);
    assert.equal((await newcomer.mustGet(queue, { noAck: true })).body, 'before');
    await consumer.consume(queue, { noAck: true });
    await formerPublisher.expectSilence(queue);
    assert.equal(formerPublisher.connection.waiting(0), 0, 'one that merely published before is not told');
    assert.equal(deaf.connection.waiting(0), 0, 'one without the capability is not told');

    await broker.admin.setMemoryAlarm(false);
    await publisher.connection.expect(0, 'connection.unblocked');
    const held = [(await consumer.nextDelivery()).body, (await consumer.nextDelivery()).body];
    assert.deepEqual(held.sort(), ['held', 'held too']);
    await deaf.expectSilence(queue);
    assert.equal(deaf.connection.waiting(0), 0);
  });

  test('[150] each alarm is told anew; afterwards the connection closes in good order', async (t) => {
    const publisher = await broker.channel(t);
    const queue = await publisher.declareQueue({ exclusive: true });
    await broker.admin.setMemoryAlarm(true);
    publisher.publishTo(queue, 'held');
    await publisher.connection.expect(0, 'connection.blocked');
    await broker.admin.setMemoryAlarm(false);
    await publisher.connection.expect(0, 'connection.unblocked');
    await publisher.connection.close();
  });
});

async function untilMessages(
  channel: Awaited<ReturnType<typeof broker.channel>>,
  queue: string,
  messages: number,
): Promise<{ messages: number; consumers: number }> {
  const giveUpAt = performance.now() + 10_000;
  for (;;) {
    const counts = await channel.inspect(queue);
    if (counts.messages >= messages || performance.now() > giveUpAt) return counts;
  }
}
