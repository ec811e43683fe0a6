// Offenders that publish more than anybody takes.
import { flood } from './client.mjs';
import * as frames from './frames.mjs';
import { counted, heldText, megabytes } from './words.mjs';

const { id } = frames;
const halfSentChannels = 1000;
const announcedBytes = 128 * 1024 * 1024;
const pieceBytes = 64 * 1024;
/** Where memory has to be full soon. */
const smallMemory = { 'vm_memory_high_watermark.absolute': '268435456' };

export const publishing = {
  'publishes-transient': {
    what: 'publishes transient messages of 1 KiB without end, nobody consumes',
    run: (world) => publishWithoutEnd(world, { isPersistent: false }),
  },
  'publishes-persistent': {
    what: 'the same, persistent messages in a durable queue',
    run: (world) => publishWithoutEnd(world, { isPersistent: true }),
  },
  'publishes-small': {
    what: 'publishes empty transient messages without end',
    run: (world) => publishWithoutEnd(world, { isPersistent: false, bodyBytes: 0, batch: 2000 }),
  },
  'publishes-large': {
    what: 'publishes transient messages of 16 MiB without end',
    run: (world) => publishWithoutEnd(world, { isPersistent: false, bodyBytes: 16 * 1024 * 1024, batch: 1 }),
  },
  'unroutable-mandatory': {
    what: 'publishes mandatory messages for nobody',
    async run(world) {
      const client = await world.open();
      await world.begin();
      const message = frames.publish(1, { routingKey: 'nowhere', mandatory: true, body: Buffer.alloc(64) });
      const batch = frames.repeat(message, 500);
      const taken = await flood(client, world.untilMs, () => batch);
      return { did: `${counted(taken * 500)} messages of 64 B`, told: heldText(client, world) };
    },
  },
  'half-sent': {
    what: `begins messages of 128 MiB on ${counted(halfSentChannels)} channels and ends none; memory limit 256 MiB`,
    settings: smallMemory,
    raisesAlarm: true,
    async run(world) {
      const client = await world.open({ channels: halfSentChannels });
      await world.begin();
      const piece = Buffer.alloc(pieceBytes);
      let sent = 0;
      await flood(client, world.untilMs, () => {
        const channel = 1 + (sent % halfSentChannels);
        sent++;
        if (sent > halfSentChannels) return frames.frame(frames.bodyFrame, channel, piece);
        return frames.publish(channel, { bodyBytes: announcedBytes, body: piece, routingKey: 'never' });
      });
      return { did: `${megabytes(sent * pieceBytes)} of bodies`, told: heldText(client, world) };
    },
  },
  'wide-fanout': {
    what: 'publishes small messages to 1,000 queues each, through a fanout exchange',
    async run(world) {
      const client = await world.open();
      const queues = 1000;
      const args = frames.table([['x-max-length', frames.numberValue(10)]]);
      client.write(frames.declareExchange(1, 'wide', 'fanout'));
      for (let number = 0; number < queues; number++) {
        client.write(frames.declareQueue(1, `wide-${number}`, { exclusive: true, args }));
        client.write(frames.bindQueue(1, `wide-${number}`, 'wide', ''));
      }
      await client.until(id.bindOk, queues);
      await world.begin();
      const batch = frames.repeat(frames.publish(1, { exchange: 'wide', body: Buffer.alloc(16) }), 500);
      const taken = await flood(client, world.untilMs, () => batch);
      return { did: `${counted(taken * 500)} messages sent`, told: heldText(client, world) };
    },
  },
  'endless-transaction': {
    what: 'publishes in a transaction that it never commits',
    async run(world) {
      const client = await world.open();
      client.write(frames.selectTransactions(1));
      await client.until(id.txSelectOk);
      await world.begin();
      const batch = frames.repeat(frames.publish(1, { routingKey: 'nowhere', body: Buffer.alloc(2048) }), 100);
      // Each time it is told off it begins again.
      let closes = 0;
      const taken = await flood(client, world.untilMs, () => {
        if (client.count(id.channelClose) === closes) return batch;
        closes = client.count(id.channelClose);
        return Buffer.concat([frames.openChannel(1), frames.selectTransactions(1), batch]);
      });
      return { did: `${counted(taken * 100)} x 2 KiB`, told: heldText(client, world) };
    },
  },
  'transaction-in-one': {
    what: 'commits 100,000 messages at once, again and again',
    async run(world) {
      const client = await world.open();
      client.write(
        frames.declareQueue(1, 'target', {
          exclusive: true,
          args: frames.table([['x-max-length', frames.numberValue(1000)]]),
        }),
      );
      client.write(frames.selectTransactions(1));
      await client.until(id.txSelectOk);
      await world.begin();
      const batch = frames.repeat(frames.publish(1, { routingKey: 'target', body: Buffer.alloc(16) }), 1000);
      let rounds = 0;
      const taken = await flood(client, world.untilMs, () => {
        rounds++;
        return rounds % 100 === 0 ? Buffer.concat([batch, frames.commit(1)]) : batch;
      });
      const commits = client.count(id.txCommitOk);
      return { did: `${counted(taken * 1000)} messages, ${commits} commits`, told: heldText(client, world) };
    },
  },
};

/** Ignores connection.blocked, too. */
async function publishWithoutEnd(world, { isPersistent, bodyBytes = 1024, batch = 200 }) {
  const client = await world.open();
  client.write(frames.declareQueue(1, 'endless', { durable: isPersistent }));
  await client.until(id.declareOk);
  await world.begin();
  const pieces = [];
  const pieceMax = 131_072 - frames.frameOverheadBytes;
  const first = Buffer.alloc(Math.min(bodyBytes, pieceMax));
  pieces.push(frames.publish(1, { routingKey: 'endless', isPersistent, bodyBytes, body: first }));
  for (let at = first.length; at < bodyBytes; at += pieceMax) {
    pieces.push(frames.frame(frames.bodyFrame, 1, Buffer.alloc(Math.min(pieceMax, bodyBytes - at))));
  }
  const messages = frames.repeat(Buffer.concat(pieces), batch);
  const taken = await flood(client, world.untilMs, () => messages);
  const did = `${counted(taken * batch)} messages, ${megabytes(taken * messages.length)}`;
  return { did, told: heldText(client, world) };
}
