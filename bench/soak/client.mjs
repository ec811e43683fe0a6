// amqplib as the soak uses it: connections whose errors end the run unless they
// were cut on purpose, channels with confirms counted, and publishers that keep
// a rate.
//
// A publisher gives each message its number; who gets it is told to the tracks
// before it is sent.
import amqp from 'amqplib';
import { bodyOf } from './track.mjs';

const heartbeatSeconds = 60;
const openAttemptsMax = 5;
const unconfirmedMax = 2000;
const waitingMax = 30_000;
/** What a publisher that was held up makes good for at most. */
const catchUpMsMax = 500;

/** Everything the loads share: the address, the findings, what is counted, and when to stop. */
export class World {
  isPublishing = true;
  published = 0;
  delivered = 0;
  confirmed = 0;
  /** Mandatory messages published for nobody, and those that came back: the same in the end. */
  unroutable = 0;
  returned = 0;
  /** Turns in which a publisher waited because too much was under way. */
  held = 0;
  connections = 0;
  /** Connections that had to be opened again. */
  retried = 0;
  tracks = [];
  pacers = [];
  /** Called when publishing ends. */
  stops = [];
  /** Awaited after that: what is under way ends. */
  settles = [];
  /** Called when all has been taken. */
  ends = [];

  #open = new Set();

  constructor(uri, findings, rate) {
    this.uri = uri;
    this.findings = findings;
    this.rate = rate;
    this.failed = new Promise((_resolve, reject) => {
      this.fail = reject;
    });
  }

  async connect() {
    const connection = await this.#dial();
    this.connections++;
    this.#open.add(connection);
    connection.on('close', () => this.#open.delete(connection));
    connection.on('error', (error) => this.fail(new Error(`a connection ended: ${error.message}`, { cause: error })));
    return connection;
  }

  /** On a machine without time to spare a broker gives up waiting for a client that is opening: that is not its fault. */
  async #dial() {
    for (let attempt = 1; ; attempt++) {
      try {
        return await amqp.connect(`${this.uri}?heartbeat=${heartbeatSeconds}`, { noDelay: true });
      } catch (error) {
        const text = `connection ${this.connections + 1} could not be opened: ${error.message}`;
        if (attempt === openAttemptsMax) throw new Error(text, { cause: error });
        this.retried++;
      }
    }
  }

  /** No timer runs any more. */
  end() {
    this.isPublishing = false;
    for (const end of this.ends.splice(0)) end();
  }

  async close() {
    await Promise.all([...this.#open].map((connection) => connection.close()));
  }

  track(track) {
    this.tracks.push(track);
    return track;
  }

  get openCount() {
    let count = 0;
    for (const track of this.tracks) count += track.openCount;
    return count;
  }

  /** Calls `publish` so many times a second, as one timer for all allows. */
  pace(perSecond, publish, isHeld = () => false) {
    this.pacers.push({ perSecond: perSecond * this.rate, publish, isHeld, due: 0 });
  }

  /** Runs what is due. */
  tick(elapsedMs) {
    const ms = Math.min(elapsedMs, catchUpMsMax);
    for (const pacer of this.pacers) {
      pacer.due += (pacer.perSecond * ms) / 1000;
      while (pacer.due >= 1) {
        if (!this.isPublishing || pacer.isHeld()) {
          pacer.due = 0;
          if (this.isPublishing) this.held++;
          break;
        }
        pacer.due -= 1;
        pacer.publish();
      }
    }
  }
}

/** One channel that publishes numbered messages. */
export class Publisher {
  number = 0;
  unconfirmed = 0;

  constructor(world, channel, hasConfirms) {
    this.world = world;
    this.channel = channel;
    this.hasConfirms = hasConfirms;
    channel.on('return', () => world.returned++);
  }

  static async open(world, { confirms = true, connection = null } = {}) {
    const owner = connection ?? (await world.connect());
    const channel = confirms ? await owner.createConfirmChannel() : await owner.createChannel();
    return new Publisher(world, channel, confirms);
  }

  /** Whether it has to wait: for confirms, or for what it has published to be taken. */
  isHeld(tracks) {
    return this.unconfirmed >= unconfirmedMax || tracks.some((track) => track.openCount >= waitingMax);
  }

  /** @param tracks those of the queues that get it; none for one that comes back or goes nowhere */
  publish(exchange, routingKey, bodyBytes, tracks, options = {}) {
    const number = ++this.number;
    for (const track of tracks) track.publish(number, bodyBytes);
    this.world.published++;
    const properties = { ...options, messageId: `${number} ${tracks[0]?.name ?? ''}` };
    if (!this.hasConfirms) {
      this.channel.publish(exchange, routingKey, bodyOf(number, bodyBytes), properties);
      return;
    }
    this.unconfirmed++;
    this.channel.publish(exchange, routingKey, bodyOf(number, bodyBytes), properties, this.#onConfirm);
  }

  #onConfirm = (error) => {
    this.unconfirmed--;
    if (error === null) this.world.confirmed++;
    else if (this.world.isPublishing) this.world.findings.note('refused', `a message was nacked: ${error.message}`);
  };
}

/**
 * Consumes a track's queue. `judge(number, message)` says what becomes of a delivery: `ack` (also for one that needs
 * none), `requeue`, `reject`, or `later` when it settles it itself.
 */
export async function consume(world, channel, queue, track, { noAck = false, judge = () => 'ack', ...options } = {}) {
  const onMessage = (message) => {
    if (message === null) {
      world.fail(new Error(`the broker cancelled the consumer of ${queue}`));
      return;
    }
    world.delivered++;
    const number = track.deliver(message);
    const verdict = judge(number, message);
    if (verdict === 'later') return;
    if (verdict === 'requeue') channel.nack(message, false, true);
    else {
      track.settle(number);
      if (verdict === 'reject') channel.reject(message, false);
      else if (!noAck) channel.ack(message);
    }
  };
  const { consumerTag } = await channel.consume(queue, onMessage, { noAck, ...options });
  return consumerTag;
}

/** Sizes that differ from message to message and are the same in each run. */
export function spread(number, least, most) {
  return least + ((number * 7919) % (most - least + 1));
}
