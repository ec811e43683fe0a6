// Offenders that take messages and do not settle them, or settle them badly.
import { setTimeout as delay } from 'node:timers/promises';
import { flood } from './client.mjs';
import * as frames from './frames.mjs';
import { counted, heldText } from './words.mjs';

const { id } = frames;
const million = 1_000_000;
const requeued = 100_000;

export const consuming = {
  'never-acks': {
    what: 'prefetch 0 on a queue with 1,000,000 ready messages, acknowledges none; then it is cut off',
    async run(world) {
      const client = await fill(world, 'million', million);
      await world.begin();
      client.write(frames.consume(1, 'million'));
      while (performance.now() < world.untilMs && client.count(id.deliver) < million) await delay(10);
      const told = `${counted(client.count(id.deliver))} deliveries; more than 1,000,000 unsettled of a channel wait`;
      return { did: `took ${counted(client.count(id.deliver))}, acknowledged none`, told };
    },
  },
  'acks-all-at-once': {
    what: 'takes 1,000,000 messages and acknowledges them with one ack',
    async run(world) {
      const client = await fill(world, 'million', million);
      client.write(frames.consume(1, 'million'));
      await client.until(id.deliver, million, 60_000);
      await world.begin();
      client.write(Buffer.concat([frames.ack(1, 0), frames.declareQueue(1, 'million', { passive: true })]));
      await client.until(id.declareOk, 3);
      return { did: '1,000,000 acknowledged', told: 'nothing: it is allowed' };
    },
  },
  requeues: {
    what: `takes ${counted(requeued)} messages and gives all back with one nack, in a loop`,
    async run(world) {
      const client = await fill(world, 'returned', requeued);
      await world.begin();
      client.write(frames.consume(1, 'returned'));
      let rounds = 0;
      while (performance.now() < world.untilMs) {
        rounds++;
        while (client.count(id.deliver) < rounds * requeued && performance.now() < world.untilMs) await delay(1);
        client.write(frames.requeue(1, 0));
      }
      return {
        did: `${rounds} rounds, ${counted(client.count(id.deliver))} deliveries`,
        told: 'deliveries, redelivered',
      };
    },
  },
  'requeues-one': {
    what: 'prefetch 1, gives its one message back for ever',
    async run(world) {
      const client = await fill(world, 'one', 1);
      await world.begin();
      client.onMethod = (methodId) => {
        if (methodId === id.deliver) client.write(frames.requeue(1, 0));
      };
      client.write(Buffer.concat([frames.prefetch(1, 1), frames.consume(1, 'one')]));
      while (performance.now() < world.untilMs) await delay(10);
      return { did: `${counted(client.count(id.deliver))} times`, told: 'deliveries, redelivered' };
    },
  },
  'gets-nothing': {
    what: 'basic.get on an empty queue without end',
    async run(world) {
      const client = await world.open();
      client.write(frames.declareQueue(1, 'empty', { exclusive: true }));
      await client.until(id.declareOk);
      await world.begin();
      const batch = frames.repeat(frames.get(1, 'empty'), 2000);
      await flood(client, world.untilMs, () => batch);
      return { did: `${counted(client.count(id.getEmpty))} get-empty`, told: heldText(client, world) };
    },
  },
  'deletes-million': {
    what: 'purges, then deletes queues of 500,000 messages',
    async run(world) {
      const client = await fill(world, 'purged', 500_000);
      await fill(world, 'deleted', 500_000);
      await world.begin();
      client.write(Buffer.concat([frames.purgeQueue(1, 'purged'), frames.deleteQueue(1, 'deleted')]));
      await client.until(id.deleteOk);
      return { did: '500,000 purged, 500,000 deleted', told: 'purge-ok, delete-ok' };
    },
  },
  'many-consumers': {
    what: '10,000 consumers on one channel of a queue that is busy; then they are cut off',
    async run(world) {
      const client = await world.open();
      client.write(frames.declareQueue(1, 'shared'));
      await client.until(id.declareOk);
      await world.begin();
      const consumers = 10_000;
      for (let started = 0; started < consumers; started += 1000) {
        await client.send(frames.repeat(frames.consume(1, 'shared', { noAck: true }), 1000), world.untilMs);
      }
      await client.until(id.consumeOk, consumers);
      const publisher = await world.open();
      const batch = frames.repeat(frames.publish(1, { routingKey: 'shared', body: Buffer.alloc(64) }), 500);
      await flood(publisher, world.untilMs, () => batch);
      return { did: `${counted(client.count(id.deliver))} deliveries`, told: heldText(publisher, world) };
    },
  },
};

/** A client whose channel 1 has declared a queue with so many messages of 100 bytes. */
async function fill(world, queue, count) {
  const client = await world.open();
  client.write(Buffer.concat([frames.declareQueue(1, queue), frames.selectConfirms(1)]));
  await client.until(id.selectOk);
  const size = Math.min(count, 500);
  const batch = frames.repeat(frames.publish(1, { routingKey: queue, body: Buffer.alloc(100) }), size);
  for (let sent = 0; sent < count; sent += size) await client.send(batch, Number.POSITIVE_INFINITY);
  client.write(Buffer.concat([frames.openChannel(2), frames.declareQueue(2, queue, { passive: true })]));
  await client.until(id.declareOk, 2, 60_000);
  return client;
}
