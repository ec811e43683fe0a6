// Offenders whose frames are as large, as deep or as hard to match as they may be.
import { Client, flood } from './client.mjs';
import * as frames from './frames.mjs';
import { counted, heldText, megabytes } from './words.mjs';

const { id } = frames;
const longName = 'n'.repeat(255);

export const shapes = {
  'huge-headers': {
    what: 'headers of 120 kB with 4,000 values, through a headers exchange with 100 bindings',
    run: (world) => publishHeaders(world, tableOf(4000, 20)),
  },
  'deep-tables': {
    what: 'headers with 60 tables in each other, 100 times, through the same',
    run: (world) => publishHeaders(world, tableOfTables(100, 60)),
  },
  'too-deep-tables': {
    what: 'headers with 10,000 tables in each other',
    run: (world) => untilRefused(world, frames.nestedTable(10_000)),
  },
  'too-many-values': {
    what: 'headers with 20,000 values',
    run: (world) => untilRefused(world, manyTruths(20_000)),
  },
  'too-large-frame': {
    what: 'announces a frame of 2 GiB',
    run: (world) =>
      untilTold(world, (client) => client.write(Buffer.from([1, 0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]))),
  },
  'long-names': {
    what: 'declares queues with names of 255 bytes, publishes with keys of 255 bytes, each another one',
    async run(world) {
      const client = await world.open();
      client.write(
        Buffer.concat([frames.declareExchange(1, 'long', 'topic'), frames.declareQueue(1, 'all', { exclusive: true })]),
      );
      client.write(frames.bindQueue(1, 'all', 'long', '*.x'));
      await client.until(id.bindOk);
      await world.begin();
      let number = 0;
      await flood(client, world.untilMs, () => {
        const parts = [];
        for (let index = 0; index < 100; index++) {
          const name = (longName + number++).slice(-255);
          parts.push(frames.publish(1, { exchange: 'long', routingKey: name }));
          parts.push(frames.declareQueue(1, name, { noWait: true }));
          parts.push(frames.deleteQueue(1, name, { noWait: true }));
        }
        return Buffer.concat(parts);
      });
      return { did: `${counted(number)} names`, told: heldText(client, world) };
    },
  },
  'wild-bindings': {
    what: 'topic bindings of # and * in all orders, keys of 127 words',
    async run(world) {
      const client = await world.open();
      client.write(frames.declareExchange(1, 'wild', 'topic'));
      client.write(
        frames.declareQueue(1, 'target', { args: frames.table([['x-max-length', frames.numberValue(10)]]) }),
      );
      const patterns = wildPatterns();
      client.write(Buffer.concat(patterns.map((pattern) => frames.bindQueue(1, 'target', 'wild', pattern))));
      await client.until(id.bindOk, patterns.length);
      await world.begin();
      let number = 0;
      await flood(client, world.untilMs, () => {
        const parts = [];
        // Each another key: what is found once is remembered.
        for (let index = 0; index < 100; index++)
          parts.push(frames.publish(1, { exchange: 'wild', routingKey: manyWords(number++) }));
        return Buffer.concat(parts);
      });
      return { did: `${patterns.length} bindings, ${counted(number)} keys sent`, told: heldText(client, world) };
    },
  },
  'wild-keys': {
    what: 'the same with keys made of # and * only',
    async run(world) {
      const client = await world.open();
      client.write(frames.declareExchange(1, 'wild', 'topic'));
      client.write(
        frames.declareQueue(1, 'target', { args: frames.table([['x-max-length', frames.numberValue(10)]]) }),
      );
      const patterns = wildPatterns();
      client.write(Buffer.concat(patterns.map((pattern) => frames.bindQueue(1, 'target', 'wild', pattern))));
      await client.until(id.bindOk, patterns.length);
      await world.begin();
      let number = 0;
      await flood(client, world.untilMs, () => {
        const parts = [];
        for (let index = 0; index < 100; index++)
          parts.push(frames.publish(1, { exchange: 'wild', routingKey: wildKey(number++) }));
        return Buffer.concat(parts);
      });
      return { did: `${patterns.length} bindings, ${counted(number)} keys sent`, told: heldText(client, world) };
    },
  },
};

function tableOf(count, valueBytes) {
  const value = frames.textValue('v'.repeat(valueBytes));
  return frames.table(Array.from({ length: count }, (_, index) => [`k${index}`, value]));
}

/** All of one name, four bytes each: so many fit into a frame. */
function manyTruths(count) {
  return frames.table(Array.from({ length: count }, () => ['k', frames.truthValue(true)]));
}

function tableOfTables(count, levels) {
  const value = Buffer.concat([Buffer.from('F'), frames.nestedTable(levels)]);
  return frames.table(Array.from({ length: count }, (_, index) => [`k${index}`, value]));
}

/** 200 patterns of 2 to 60 words; `#` and `*` as the bits of a number have it. */
function wildPatterns() {
  return Array.from({ length: 200 }, (_, number) => {
    const words = 2 + ((number * 7) % 59);
    return Array.from({ length: words }, (_unused, place) => (((number >> (place % 8)) ^ place) & 1 ? '#' : '*')).join(
      '.',
    );
  });
}

function manyWords(number) {
  return Array.from({ length: 127 }, (_, place) => String.fromCharCode(97 + ((number >> (place % 24)) % 26))).join('.');
}

function wildKey(number) {
  return Array.from({ length: 127 }, (_, place) => ((number >> (place % 30)) & 1 ? '#' : '*')).join('.');
}

async function publishHeaders(world, headers) {
  const client = await world.open();
  client.write(frames.declareExchange(1, 'headers', 'headers'));
  client.write(frames.declareQueue(1, 'target', { args: frames.table([['x-max-length', frames.numberValue(10)]]) }));
  const bindings = Array.from({ length: 100 }, (_, index) =>
    frames.bindQueue(1, 'target', 'headers', '', {
      args: frames.table([
        ['x-match', frames.textValue(index % 2 === 0 ? 'all' : 'any')],
        [`k${index}`, frames.textValue('other')],
        [`k${index + 1}`, frames.textValue('another')],
      ]),
    }),
  );
  client.write(Buffer.concat(bindings));
  await client.until(id.bindOk, bindings.length);
  await world.begin();
  const message = frames.publish(1, { exchange: 'headers', headers });
  const taken = await flood(client, world.untilMs, () => message);
  return { did: `${counted(taken)} messages, ${megabytes(taken * message.length)}`, told: heldText(client, world) };
}

/** Connects, publishes one with these headers, is refused; again. */
function untilRefused(world, headers) {
  const message = frames.publish(1, { routingKey: 'nowhere', headers });
  return untilTold(world, (client) => client.write(message));
}

async function untilTold(world, offend) {
  await world.begin();
  let times = 0;
  let told = '';
  while (performance.now() < world.untilMs) {
    const client = await Client.open(world.address);
    offend(client);
    await client.until(id.connectionClose);
    told = client.toldText();
    client.cut();
    times++;
  }
  return { did: `${counted(times)} times`, told };
}
