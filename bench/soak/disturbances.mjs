// What makes a broker's life uneven: a backlog that grows and is drained,
// consumers that are slow or stop reading, and connections, channels, queues and
// bindings that come and go, some of them cut without a good-bye.
import { setTimeout as delay } from 'node:timers/promises';
import { consume, Publisher, spread } from './client.mjs';
import { Track } from './track.mjs';

const persistent = { persistent: true };

/** For half of each cycle nobody consumes; then somebody takes it all, and what comes meanwhile. */
export async function backlog(world, perSecond, cycleMs, clock) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  const track = world.track(new Track('soak.backlog', world.findings));
  await channel.assertQueue(track.name, { durable: true });
  await channel.prefetch(500);
  const isFilling = () => world.isPublishing && clock() % cycleMs < cycleMs / 2;
  const turns = { consumerTag: null, isChanging: false };
  const change = async () => {
    if (turns.isChanging || isFilling() === (turns.consumerTag === null)) return;
    turns.isChanging = true;
    if (turns.consumerTag === null) turns.consumerTag = await consume(world, channel, track.name, track);
    else {
      await channel.cancel(turns.consumerTag);
      turns.consumerTag = null;
    }
    turns.isChanging = false;
  };
  const timer = setInterval(() => change().catch(world.fail), 100);
  world.ends.push(() => clearInterval(timer));
  // Twice the rate while nobody consumes, nothing while it is drained but a trickle.
  const publish = () => publisher.publish('', track.name, spread(publisher.number, 500, 1500), [track], persistent);
  const isFull = () => publisher.unconfirmed >= 2000;
  world.pace(perSecond * 0.2, publish, isFull);
  world.pace(perSecond * 1.6, () => isFilling() && publish(), isFull);
}

/** A consumer that takes 20 ms for each message, and has ten at a time. */
export async function slow(world, perSecond) {
  const publisher = await Publisher.open(world);
  const channel = await (await world.connect()).createChannel();
  const track = world.track(new Track('soak.slow', world.findings));
  await channel.assertQueue(track.name, { durable: true });
  await channel.prefetch(10);
  let freeAt = 0;
  await consume(world, channel, track.name, track, {
    judge: (number, message) => {
      freeAt = Math.max(freeAt, performance.now()) + 20;
      setTimeout(() => {
        track.settle(number);
        channel.ack(message);
      }, freeAt - performance.now());
      return 'later';
    },
  });
  world.pace(
    perSecond,
    () => publisher.publish('', track.name, spread(publisher.number, 0, 2000), [track], persistent),
    () => publisher.isHeld([track]),
  );
}

/** A consumer without acks that does not read its socket for five of every ten seconds. */
export async function pausing(world, perSecond) {
  const publisher = await Publisher.open(world, { confirms: false });
  const connection = await world.connect();
  const channel = await connection.createChannel();
  const track = world.track(new Track('soak.pausing', world.findings));
  await channel.assertQueue(track.name, { durable: false });
  await consume(world, channel, track.name, track, { noAck: true });
  const { stream } = connection.connection;
  // amqplib reads when the stream says it can: a stream that gives nothing is one that nobody reads.
  const resume = () => {
    delete stream.read;
    stream.emit('readable');
  };
  let turn = 0;
  const timer = setInterval(() => {
    if (turn++ % 2 === 0 && world.isPublishing) stream.read = () => null;
    else resume();
  }, 5000);
  world.stops.push(resume);
  world.ends.push(() => clearInterval(timer));
  world.pace(
    perSecond,
    () => publisher.publish('', track.name, spread(publisher.number, 500, 8000), [track], { persistent: false }),
    () => publisher.isHeld([track]),
  );
}

/** A short life every so often: half of them end by cutting the socket with messages unacked. */
export async function churn(world, perSecond) {
  let count = 0;
  const underWay = new Set();
  world.pace(perSecond, () => {
    if (underWay.size > 20) return;
    const life = shortLife(world, ++count).catch((error) => world.fail(error));
    underWay.add(life);
    life.then(() => underWay.delete(life));
  });
  world.settles.push(() => Promise.all(underWay));
}

async function shortLife(world, count) {
  const name = `soak.life-${count}`;
  const connection = await world.connect();
  const publisher = await Publisher.open(world, { connection });
  const consuming = await connection.createChannel();
  const track = new Track(name, world.findings, { isCut: true });
  const isCut = count % 2 === 0;
  await consuming.assertQueue(name, { durable: isCut, exclusive: !isCut });
  await consuming.assertExchange(name, 'topic', { durable: false, autoDelete: true });
  await consuming.bindQueue(name, name, 'a.#');
  const taken = takeTen(world, consuming, track);
  for (let i = 0; i < 10; i++) publisher.publish(name, `a.${i}`, spread(i * count, 0, 2000), [track], persistent);
  await Promise.all([publisher.channel.waitForConfirms(), taken]);
  if (isCut) await cutAndReturn(world, connection, publisher, track);
  else {
    await consuming.unbindQueue(name, name, 'a.#');
    await consuming.close();
    await connection.close();
  }
  track.close();
}

/** Consumes and acks until ten were acked. */
async function takeTen(world, channel, track) {
  let tag = '';
  await new Promise((resolve, reject) => {
    const judge = () => {
      if (track.settled === 9) setImmediate(resolve);
      return 'ack';
    };
    consume(world, channel, track.name, track, { judge }).then((consumerTag) => {
      tag = consumerTag;
    }, reject);
  });
  await channel.cancel(tag);
}

/** More messages come than are acked; the socket is cut; another connection finds the rest and deletes the queue. */
async function cutAndReturn(world, connection, publisher, track) {
  const { name } = track;
  const consuming = await connection.createChannel();
  connection.removeAllListeners('error');
  connection.on('error', () => {});
  await consuming.assertQueue(`${name}-kept`, { durable: true });
  const kept = new Track(`${name}-kept`, world.findings, { isCut: true });
  for (let i = 0; i < 10; i++) publisher.publish('', kept.name, 100, [kept], persistent);
  await publisher.channel.waitForConfirms();
  let got = 0;
  await new Promise((resolve) => {
    consuming.consume(kept.name, () => ++got === 5 && resolve());
  });
  for (const channel of [publisher.channel, consuming]) channel.on('error', () => {});
  connection.connection.stream.destroy(new Error('cut by the soak'));
  const later = await world.connect();
  const channel = await later.createChannel();
  await takeTen(world, channel, kept);
  kept.close();
  await channel.deleteQueue(kept.name);
  await channel.deleteQueue(name);
  await later.close();
}

/** On one connection: channels that open and close, queues and bindings of theirs that come and go. */
export async function shuffle(world, perSecond) {
  const connection = await world.connect();
  const exchanges = await connection.createChannel();
  await exchanges.assertExchange('soak.shuffle', 'direct', { durable: true });
  let count = 0;
  let underWay = 0;
  world.pace(perSecond, () => {
    if (underWay > 10) return;
    underWay++;
    const once = async () => {
      const name = `soak.shuffled-${++count}`;
      const channel = await connection.createChannel();
      await channel.assertQueue(name, {
        durable: true,
        arguments: { 'x-queue-type': count % 3 === 0 ? 'quorum' : 'classic' },
      });
      for (const key of ['a', 'b', 'c']) await channel.bindQueue(name, 'soak.shuffle', `${key}-${count}`);
      await channel.unbindQueue(name, 'soak.shuffle', `a-${count}`);
      await delay(500);
      await channel.deleteQueue(name);
      await channel.close();
      underWay--;
    };
    once().catch(world.fail);
  });
  world.settles.push(async () => {
    while (underWay > 0) await delay(20);
  });
}
