// The steady loads: each is a function that declares what it needs, starts its
// consumers and tells the world what to publish how often. Figures are messages
// per second at rate 1.
import { consume, Publisher, spread } from './client.mjs';
import { Track } from './track.mjs';

const persistent = { persistent: true };
const transient = { persistent: false };

/** Durable queue, persistent messages, confirms, acks. */
export async function confirmed(world, name, perSecond, queueArguments = {}) {
  const publisher = await Publisher.open(world);
  const track = world.track(new Track(name, world.findings));
  const channel = await (await world.connect()).createChannel();
  await channel.assertQueue(name, { durable: true, arguments: queueArguments });
  await channel.prefetch(300);
  await consume(world, channel, name, track);
  world.pace(
    perSecond,
    () => publisher.publish('', name, spread(publisher.number, 0, 4096), [track], persistent),
    () => publisher.isHeld([track]),
  );
}

/** Neither confirms nor acks. */
export async function fast(world, perSecond) {
  const publisher = await Publisher.open(world, { confirms: false });
  const track = world.track(new Track('soak.fast', world.findings));
  const channel = await (await world.connect()).createChannel();
  await channel.assertQueue(track.name, { durable: false });
  await consume(world, channel, track.name, track, { noAck: true });
  world.pace(
    perSecond,
    () => publisher.publish('', track.name, spread(publisher.number, 0, 512), [track], transient),
    () => publisher.isHeld([track]),
  );
}

/** Topic, fanout and headers exchanges, bound to one another; every tenth message is for nobody and comes back. */
export async function routed(world, perSecond) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  await channel.assertExchange('soak.topic', 'topic', { durable: true });
  await channel.assertExchange('soak.fanout', 'fanout', { durable: true });
  await channel.assertExchange('soak.headers', 'headers', { durable: true });
  await channel.bindExchange('soak.fanout', 'soak.topic', 'all.#');
  await channel.prefetch(500);
  const tracks = {};
  for (const name of ['topic-one', 'topic-two', 'fanout-one', 'fanout-two', 'headers']) {
    tracks[name] = world.track(new Track(`soak.${name}`, world.findings));
    await channel.assertQueue(`soak.${name}`, { durable: true });
    await consume(world, channel, `soak.${name}`, tracks[name]);
  }
  for (let i = 0; i < 100; i++) await channel.bindQueue('soak.topic-one', 'soak.topic', `one.*.${i}.#`);
  await channel.bindQueue('soak.topic-two', 'soak.topic', '*.two.#');
  await channel.bindQueue('soak.fanout-one', 'soak.fanout', '');
  await channel.bindQueue('soak.fanout-two', 'soak.fanout', '');
  await channel.bindQueue('soak.headers', 'soak.headers', '', { 'x-match': 'all', kind: 'soak', part: 7 });
  const { 'topic-one': one, 'topic-two': two, 'fanout-one': all, 'fanout-two': everyone, headers } = tracks;
  const ways = [
    (n) => ['soak.topic', `one.x.${n % 100}.end`, [one]],
    (n) => ['soak.topic', `one.two.${n % 100}`, [one, two]],
    () => ['soak.topic', 'all.two.three', [two, all, everyone]],
    () => ['soak.fanout', '', [all, everyone]],
    () => ['soak.headers', '', [headers], { headers: { kind: 'soak', part: 7, more: 'x' } }],
  ];
  let turn = 0;
  world.pace(
    perSecond,
    () => {
      turn++;
      if (turn % 10 === 0) {
        publisher.publish('soak.headers', 'nobody', 100, [], { mandatory: true, headers: { kind: 'other' } });
        world.unroutable++;
        return;
      }
      const [exchange, key, to, options = {}] = ways[turn % ways.length](turn);
      publisher.publish(exchange, key, spread(turn, 0, 2048), to, { ...options, persistent: turn % 2 === 0 });
    },
    () => publisher.isHeld(Object.values(tracks)),
  );
}

/** Transactions of ten messages; the consumer acks in transactions too. */
export async function transactions(world, perSecond) {
  const connection = await world.connect();
  const publishing = await connection.createChannel();
  const consuming = await connection.createChannel();
  const track = world.track(new Track('soak.tx', world.findings));
  await publishing.assertQueue(track.name, { durable: true });
  const tx = [publishing, consuming].map((channel) => new Transactions(channel));
  await Promise.all(tx.map((one) => one.select()));
  const publisher = new Publisher(world, publishing, false);
  let sinceCommit = 0;
  await consuming.prefetch(100);
  await consume(world, consuming, track.name, track, {
    judge: () => {
      setImmediate(() => tx[1].commitSoon());
      return 'ack';
    },
  });
  world.pace(
    perSecond,
    () => {
      publisher.publish('', track.name, spread(publisher.number, 0, 1024), [track], persistent);
      if (++sinceCommit % 10 === 0) tx[0].commitSoon();
    },
    () => publisher.isHeld([track]),
  );
  world.stops.push(() => tx[0].commitSoon());
}

/** tx.select and tx.commit, which amqplib has no calls for; one commit under way at a time. */
class Transactions {
  #isUnderWay = false;
  #isWanted = false;

  constructor(channel) {
    this.channel = channel;
  }

  select() {
    return this.channel.rpc(txSelect, {}, txSelectOk);
  }

  commitSoon() {
    this.#isWanted = true;
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    this.#isWanted = false;
    this.channel.rpc(txCommit, {}, txCommitOk).then(() => {
      this.#isUnderWay = false;
      if (this.#isWanted) this.commitSoon();
    });
  }
}

const [txSelect, txSelectOk, txCommit, txCommitOk] = [10, 11, 20, 21].map((method) => 0x5a0000 + method);

/** Some deliveries are put back, some are rejected and come out as dead letters. */
export async function worked(world, perSecond) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  const track = world.track(new Track('soak.work', world.findings));
  const dead = world.track(new Track('soak.dead', world.findings));
  await channel.assertQueue(dead.name, { durable: true });
  await channel.assertQueue(track.name, {
    durable: true,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead.name },
  });
  await channel.prefetch(50);
  await consume(world, channel, dead.name, dead);
  await consume(world, channel, track.name, track, {
    judge: (number, message) => {
      if (number % 20 === 3 && !message.fields.redelivered) return 'requeue';
      if (number % 20 !== 5) return 'ack';
      dead.publish(number, message.content.length);
      return 'reject';
    },
  });
  world.pace(
    perSecond,
    () => publisher.publish('', track.name, spread(publisher.number, 0, 3000), [track], persistent),
    () => publisher.isHeld([track, dead]),
  );
}

/** Nobody consumes the first queue: its messages expire into the second one, by the queue's time to live or their own. */
export async function expiring(world, perSecond, isOfQueue) {
  const name = isOfQueue ? 'soak.ttl-queue' : 'soak.ttl-message';
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  const track = world.track(new Track(`${name}.expired`, world.findings));
  await channel.assertQueue(track.name, { durable: true });
  const ttl = isOfQueue ? { 'x-message-ttl': 2000 } : {};
  await channel.assertQueue(name, {
    durable: true,
    arguments: { ...ttl, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': track.name },
  });
  await channel.prefetch(200);
  await consume(world, channel, track.name, track);
  const options = isOfQueue ? persistent : { ...persistent, expiration: '1500' };
  world.pace(
    perSecond,
    () => publisher.publish('', name, spread(publisher.number, 0, 1000), [track], options),
    () => publisher.isHeld([track]),
  );
}

/** Priorities: in order within each. */
export async function prioritised(world, perSecond) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  const track = world.track(new Track('soak.priority', world.findings, { order: 'none' }));
  await channel.assertQueue(track.name, { durable: true, maxPriority: 5 });
  await channel.prefetch(100);
  const last = new Array(6).fill(0);
  await consume(world, channel, track.name, track, {
    judge: (number, { fields, properties }) => {
      const { priority } = properties;
      if (!fields.redelivered && number < last[priority]) {
        world.findings.note(
          'reordered',
          `${track.name}: ${number} came after ${last[priority]} of priority ${priority}`,
        );
      }
      last[priority] = number;
      return 'ack';
    },
  });
  world.pace(
    perSecond,
    () => {
      const priority = publisher.number % 6;
      publisher.publish('', track.name, spread(publisher.number, 0, 1000), [track], { ...persistent, priority });
    },
    () => publisher.isHeld([track]),
  );
}

/** Hundreds of queues behind one direct exchange, a few messages each. */
export async function many(world, queues, perSecond) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  await channel.assertExchange('soak.direct', 'direct', { durable: true });
  await channel.prefetch(20);
  const tracks = [];
  for (let i = 0; i < queues; i++) {
    const track = world.track(new Track(`soak.many-${i}`, world.findings));
    tracks.push(track);
    await channel.assertQueue(track.name, { durable: true });
    await channel.bindQueue(track.name, 'soak.direct', String(i));
    await consume(world, channel, track.name, track);
  }
  let turn = 0;
  world.pace(
    perSecond,
    () => {
      const at = (turn += 17) % queues;
      publisher.publish('soak.direct', String(at), spread(turn, 0, 800), [tracks[at]], { persistent: turn % 2 === 0 });
    },
    () => publisher.isHeld([]),
  );
}

/** Bodies of 64 KiB to 1 MiB. */
export async function large(world, perSecond) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  const track = world.track(new Track('soak.large', world.findings));
  await channel.assertQueue(track.name, { durable: true });
  await channel.prefetch(4);
  await consume(world, channel, track.name, track);
  world.pace(
    perSecond,
    () =>
      publisher.publish('', track.name, spread(publisher.number * 101, 65_536, 1_048_576), [track], {
        persistent: publisher.number % 4 !== 0,
      }),
    () => publisher.unconfirmed > 8 || track.openCount > 50,
  );
}
