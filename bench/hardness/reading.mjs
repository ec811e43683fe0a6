// Offenders that do not take what is sent to them.
import { flood } from './client.mjs';
import * as frames from './frames.mjs';
import { counted, heldText, megabytes } from './words.mjs';

const { id } = frames;

export const reading = {
  'never-reads': {
    what: 'subscribes to a busy queue and never reads',
    run: (world) => consumeBusyQueue(world, (consumer) => consumer.pause()),
  },
  'byte-a-second': {
    what: 'subscribes to a busy queue and reads one byte a second',
    run: (world) => consumeBusyQueue(world, (consumer) => consumer.readSlowly(), { isBytewise: true }),
  },
  'never-reads-answers': {
    what: 'asks without end and never reads the answers',
    async run(world) {
      const client = await world.open();
      client.write(frames.declareQueue(1, 'asked', { exclusive: true }));
      await client.until(id.declareOk);
      await world.begin();
      client.pause();
      const asks = frames.repeat(frames.declareQueue(1, 'asked', { passive: true }), 1000);
      const taken = await flood(client, world.untilMs, () => asks);
      return { did: `${counted(taken * 1000)} questions sent`, told: heldText(client, world) };
    },
  },
};

/** A publisher keeps the queue busy meanwhile, as fast as it may. */
async function consumeBusyQueue(world, misbehave, socketOptions = {}) {
  const publisher = await world.open();
  publisher.write(frames.declareQueue(1, 'busy'));
  await publisher.until(id.declareOk);
  const consumer = await world.open({ socketOptions });
  consumer.write(frames.consume(1, 'busy', { noAck: true }));
  await consumer.until(id.consumeOk);
  await world.begin();
  misbehave(consumer);
  const batch = frames.repeat(frames.publish(1, { routingKey: 'busy', body: Buffer.alloc(1024) }), 100);
  const taken = await flood(publisher, world.untilMs, () => batch);
  publisher.write(frames.declareQueue(1, 'busy', { passive: true }));
  const answer = await publisher.until(id.declareOk, 2);
  const ready = answer.readUInt32BE(4 + 1 + 'busy'.length);
  return {
    did: `${counted(taken * 100)} x 1 KiB published for it, ${megabytes(consumer.receivedBytes)} read`,
    told: `no more deliveries than its socket takes: ${counted(ready)} wait in the queue; the publisher: ${heldText(publisher, world)}`,
  };
}
