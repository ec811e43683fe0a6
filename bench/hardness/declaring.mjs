// Offenders that change what is declared, or ask for what is not there, without end.
import { flood } from './client.mjs';
import * as frames from './frames.mjs';
import { counted, heldText } from './words.mjs';

const { id } = frames;
const noWait = true;

export const declaring = {
  'declares-deletes': {
    what: 'declares and deletes transient queues, does not wait for answers',
    run: (world) =>
      repeatWithoutEnd(world, 'declared and deleted', (number) => [
        frames.declareQueue(1, `churned-${number}`, { noWait }),
        frames.deleteQueue(1, `churned-${number}`, { noWait }),
      ]),
  },
  'declares-deletes-durable': {
    what: 'the same with durable queues',
    run: (world) =>
      repeatWithoutEnd(world, 'declared and deleted', (number) => [
        frames.declareQueue(1, `churned-${number}`, { durable: true, noWait }),
        frames.deleteQueue(1, `churned-${number}`, { noWait }),
      ]),
  },
  'declares-on-many-channels': {
    what: 'the same on 500 channels at the same time',
    run: (world) =>
      repeatWithoutEnd(
        world,
        'declared and deleted',
        (number) => [
          frames.declareQueue(1 + (number % 500), `churned-${number}`, { durable: true, noWait }),
          frames.deleteQueue(1 + (number % 500), `churned-${number}`, { noWait }),
        ],
        { channels: 500 },
      ),
  },
  'churns-exchanges': {
    what: 'declares an exchange, binds a queue to it, deletes it',
    async run(world) {
      const client = await world.open();
      client.write(frames.declareQueue(1, 'bound', { exclusive: true }));
      await client.until(id.declareOk);
      return repeatWithoutEnd(
        world,
        'exchanges declared, bound and deleted',
        (number) => [
          frames.declareExchange(1, `churned-${number}`, 'topic', { durable: true, noWait }),
          frames.bindQueue(1, '', `churned-${number}`, '#.a.*', { noWait }),
          frames.deleteExchange(1, `churned-${number}`, { noWait }),
        ],
        { client },
      );
    },
  },
  'deletes-bound-exchange': {
    what: 'binds a queue 20,000 times to one exchange, deletes the exchange',
    async run(world) {
      const client = await world.open();
      const bindings = 20_000;
      client.write(frames.declareQueue(1, 'bound', { exclusive: true }));
      client.write(frames.declareExchange(1, 'hub', 'topic'));
      await client.until(id.exchangeDeclareOk);
      for (let from = 0; from < bindings; from += 500) {
        const batch = Array.from({ length: 500 }, (_, index) =>
          frames.bindQueue(1, 'bound', 'hub', `key.${from + index}`),
        );
        await client.send(Buffer.concat(batch), Number.POSITIVE_INFINITY);
      }
      await client.until(id.bindOk, bindings, 60_000);
      await world.begin();
      client.write(frames.deleteExchange(1, 'hub'));
      await client.until(id.exchangeDeleteOk);
      return { did: 'deleted', told: 'delete-ok' };
    },
  },
  'asks-missing-queues': {
    what: 'declares missing queues passively, opens the channel again each time',
    async run(world) {
      const client = await world.open();
      client.answersChannelClose = false; // it does so before it is asked
      await world.begin();
      let asked = 0;
      await flood(client, world.untilMs, () => {
        const parts = [];
        for (let index = 0; index < 200; index++) {
          parts.push(frames.declareQueue(1, `missing-${asked++}`, { passive: true }));
          parts.push(frames.closeChannelOk(1), frames.openChannel(1));
        }
        return Buffer.concat(parts);
      });
      const told = heldText(client, world);
      return { did: `${counted(asked)} times, ${counted(client.count(id.channelClose))} answered`, told };
    },
  },
};

async function repeatWithoutEnd(world, verb, make, { channels = 1, client = null } = {}) {
  const own = client ?? (await world.open({ channels }));
  await world.begin();
  let number = 0;
  await flood(own, world.untilMs, () => {
    const parts = [];
    for (let index = 0; index < 200; index++) parts.push(...make(number++));
    return Buffer.concat(parts);
  });
  return { did: `${counted(number)} ${verb}, as far as they were read`, told: heldText(own, world) };
}
