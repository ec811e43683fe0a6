/** Direct reply-to (behaviours 124 to 127). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker, type TestScope } from '../../support/broker/broker.ts';
import type { RawChannel } from '../../support/raw-client/channel.ts';

const REPLY_TO = 'amq.rabbitmq.reply-to';

const broker = await startBroker();
after(() => broker.stop());

describe('direct reply-to', { concurrency: true }, () => {
  test('[124] a reply consumer cannot acknowledge', async (t) => {
    const channel = await broker.channel(t);
    await channel.refused(
      'basic.consume',
      { queue: REPLY_TO },
      406,
      'PRECONDITION_FAILED - reply consumer cannot acknowledge',
    );
  });

  test('[124] a channel has one reply consumer', async (t) => {
    const channel = await broker.channel(t);
    await channel.consume(REPLY_TO, { noAck: true });
    await channel.refused(
      'basic.consume',
      { queue: REPLY_TO, noAck: true },
      406,
      'PRECONDITION_FAILED - reply consumer already set',
    );
  });

  test('[125] a request without a reply consumer is refused', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, properties: { replyTo: REPLY_TO }, body: 'question' });
    await channel.expectClose(406, 'PRECONDITION_FAILED - fast reply consumer does not exist', 'basic.publish');
  });

  test('[125] basic.get of the name finds no queue', async (t) => {
    const channel = await broker.channel(t);
    await channel.refused('basic.get', { queue: REPLY_TO }, 404, `NOT_FOUND - no queue '${REPLY_TO}' in vhost '/'`);
  });

  test('[126] the request carries an address, and answers to it reach the asker', async (t) => {
    const asker = await broker.channel(t);
    const server = await broker.channel(t);
    const { address, question } = await ask(asker, server);
    assert.match(address, /^amq\.rabbitmq\.reply-to\.\S+$/);
    assert.equal(question, 'question');
    server.publish({ routingKey: address, properties: { correlationId: '1' }, body: 'answer' });
    const answer = await asker.nextDelivery();
    assert.deepEqual(
      [answer.body, answer.text('exchange'), answer.text('routingKey'), answer.properties.get('correlationId')],
      ['answer', '', address, '1'],
    );
  });

  test('[126] the address is good for the whole life of the reply consumer', async (t) => {
    const asker = await broker.channel(t);
    const server = await broker.channel(t);
    const { address } = await ask(asker, server);
    server.publishTo(address, 'one', 'two');
    assert.deepEqual([(await asker.nextDelivery()).body, (await asker.nextDelivery()).body], ['one', 'two']);
    assert.equal((await ask(asker, server, { isConsuming: true })).address, address);
  });

  test('[127] the name and a live address can be looked at, a dead one not', async (t) => {
    const { asker, server, address } = await conversation(t);
    const bare = await asker.call('queue.declare', { queue: REPLY_TO, passive: true });
    assert.deepEqual(bare.fields, { queue: REPLY_TO, messageCount: 0, consumerCount: 1 });
    const live = await server.call('queue.declare', { queue: address, passive: true });
    assert.deepEqual(live.fields, { queue: address, messageCount: 0, consumerCount: 1 });
    await asker.close();
    await server.refused(
      'queue.declare',
      { queue: address, passive: true },
      404,
      `NOT_FOUND - no queue '${address}' in vhost '/'`,
    );
  });

  test('[127] a mandatory answer to a dead or damaged address is returned', async (t) => {
    const { asker, server, address } = await conversation(t);
    await asker.close();
    for (const routingKey of [address, `${address}x`, `${REPLY_TO}.damaged`]) {
      server.publish({ routingKey, mandatory: true, body: 'too late' });
      const returned = await server.expect('basic.return');
      assert.deepEqual([returned.number('replyCode'), returned.text('routingKey')], [312, routingKey]);
    }
  });

  test('[127] a mandatory answer to a live address arrives; only the original returns it as well', async (t) => {
    const { asker, server, address } = await conversation(t);
    server.publish({ routingKey: address, mandatory: true, body: 'in time' });
    assert.equal((await asker.nextDelivery()).body, 'in time');
    if (broker.kind === 'rabbit') await server.expect('basic.return');
    await server.expectSilence();
  });
});

/** Someone who has asked and someone who has the question. */
async function conversation(scope: TestScope): Promise<{ asker: RawChannel; server: RawChannel; address: string }> {
  const asker = await broker.channel(scope);
  const server = await broker.channel(scope);
  const { address } = await ask(asker, server);
  return { asker, server, address };
}

async function ask(
  asker: RawChannel,
  server: RawChannel,
  options: { isConsuming: boolean } = { isConsuming: false },
): Promise<{ address: string; question: string }> {
  if (!options.isConsuming) await asker.consume(REPLY_TO, { noAck: true });
  const queue = await server.declareQueue({ exclusive: true });
  await server.consume(queue, { noAck: true });
  asker.publish({ routingKey: queue, properties: { replyTo: REPLY_TO }, body: 'question' });
  const request = await server.nextDelivery();
  return { address: String(request.properties.get('replyTo')), question: request.body };
}
