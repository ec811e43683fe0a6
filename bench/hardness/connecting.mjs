// Offenders that open more than they use.
import { setTimeout as delay } from 'node:timers/promises';
import { Client, flood } from './client.mjs';
import * as frames from './frames.mjs';
import { counted, heldText } from './words.mjs';

const { id } = frames;
const atATime = 20;

export const connecting = {
  nothing: {
    what: 'a client that does nothing: what the machine itself does to the ping',
    async run(world) {
      await world.open();
      await world.begin();
      await delay(world.seconds * 1000);
      return { did: 'nothing', told: '' };
    },
  },
  'connects-drops': {
    what: 'opens sockets and cuts them without a word',
    run: (world) => openWithoutEnd(world, async () => (await Client.dial(world.address)).cut()),
  },
  'connects-drops-half-way': {
    what: 'sends the protocol header, waits for connection.start, cuts',
    run: (world) =>
      openWithoutEnd(world, async () => {
        const client = await Client.dial(world.address);
        client.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
        await client.until(id.start);
        client.cut();
      }),
  },
  'connects-drops-open': {
    what: 'logs in, opens a channel, declares an exclusive queue with a consumer, cuts',
    run: (world) =>
      openWithoutEnd(world, async () => {
        const client = await world.open();
        client.write(Buffer.concat([frames.declareQueue(1, '', { exclusive: true }), frames.consume(1, '')]));
        await client.until(id.consumeOk);
        client.cut();
      }),
  },
  'wrong-password': {
    what: 'logs in with a wrong password',
    run: (world) =>
      openWithoutEnd(world, async (tell) => {
        const client = await Client.dial(world.address);
        await client.shakeHands({ ...world.address, password: 'wrong' }).catch(() => {});
        tell(client.toldText());
        client.cut();
      }),
  },
  zombies: {
    what: '300 connections with a heartbeat of 1 s that say nothing more',
    async run(world) {
      const clients = [];
      for (let count = 0; count < 300; count++) clients.push(await world.open({ heartbeat: 1 }));
      await world.begin();
      const openedAtMs = performance.now();
      while (clients.some(({ isClosed }) => !isClosed) && performance.now() < world.untilMs + 2000) await delay(50);
      const open = clients.filter(({ isClosed }) => !isClosed).length;
      const told = `heartbeats, then dropped within ${((performance.now() - openedAtMs) / 1000).toFixed(1)} s`;
      return { did: `${open} left`, told: open === 0 ? told : `${open} are left` };
    },
  },
  'too-many-channels': {
    what: 'opens 2,047 channels, closes them, again and again; then one more than it may',
    async run(world) {
      const client = await world.open({ channels: 0 });
      await world.begin();
      const numbers = Array.from({ length: 2047 }, (_, index) => index + 1);
      const round = Buffer.concat([...numbers.map(frames.openChannel), ...numbers.map(frames.closeChannel)]);
      const taken = await flood(client, world.untilMs, () => round);
      const more = Buffer.concat([...numbers.map(frames.openChannel), frames.openChannel(2048)]);
      await client.send(more, world.untilMs + 5000);
      await client.until(id.connectionClose);
      return { did: `${counted(taken * 2047)} channels`, told: heldText(client, world) };
    },
  },
  'many-channels': {
    what: '10 connections with 2,047 channels, each with a queue and a consumer; then they are cut off',
    async run(world) {
      const clients = [];
      for (let count = 0; count < 10; count++) clients.push(await world.open({ channels: 0 }));
      await world.begin();
      let channels = 0;
      for (const client of clients) {
        const parts = [];
        for (let channel = 1; channel <= 2047; channel++) {
          channels++;
          const queue = frames.declareQueue(channel, '', { exclusive: true });
          parts.push(frames.openChannel(channel), queue, frames.consume(channel, ''));
        }
        await client.send(Buffer.concat(parts), world.untilMs + 10_000);
      }
      const consumers = () => clients.reduce((sum, client) => sum + client.count(id.consumeOk), 0);
      while (consumers() < channels && performance.now() < world.untilMs + 10_000) await delay(20);
      return {
        did: `${counted(channels)} channels, ${counted(consumers())} consumers`,
        told: heldText(clients[0], world),
      };
    },
  },
};

/** `atATime` of them at a time. `once` gets a function that keeps what was told. */
async function openWithoutEnd(world, once) {
  await world.begin();
  let count = 0;
  let told = '';
  let failed = 0;
  const tell = (text) => {
    told = text;
  };
  const one = async () => {
    while (performance.now() < world.untilMs) {
      try {
        await once(tell);
        count++;
      } catch (error) {
        failed++;
        tell(error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, one));
  return { did: `${counted(count)} times${failed === 0 ? '' : `, ${failed} failed`}`, told };
}
