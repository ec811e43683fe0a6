// Memory and disk alarms while the load goes on. A publisher keeps a window of
// unconfirmed persistent messages, numbered; another one takes no notice of
// connection.blocked and goes on writing. The alarm is raised, held for a
// while, and cleared; then every confirmed message has to be there.
//
// Memory: a low watermark, filled with deliveries that a client does not
// acknowledge. Disk (root, Linux): the data is on a small tmpfs, part of it
// taken by a file that goes away again. Comes in: how to start a broker; goes
// out: a Markdown table.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from '../support/figures.mjs';
import { startBroker } from './broker.mjs';
import { MemoryWatch, startWitness } from './children.mjs';
import { Client } from './client.mjs';
import * as frames from './frames.mjs';
import { counted } from './words.mjs';

const { id } = frames;
const window = 500;
const bodyBytes = 1024;
const holdMs = 3000;
const raisedMsMax = 60_000;
const mebibyte = 1024 * 1024;
const watermarkBytes = 256 * mebibyte;
const diskMebibytes = 400;
const ballastMebibytes = 150;

export async function runAlarms({ program, isRealTime }) {
  const rows = [await underMemoryAlarm({ program, isRealTime })];
  if (process.getuid?.() === 0) rows.push(await underDiskAlarm({ program, isRealTime }));
  const columns = [
    'alarm',
    'raised after, s',
    'held, s',
    'cleared after, s',
    'confirmed before / during / after',
    'there in the end',
    'RssAnon when raised / highest while held, MB',
    'written by who ignores blocked while held, MB',
    'ping p50 / p99 / max while held, ms',
  ];
  return markdownTable(columns, rows);
}

async function underMemoryAlarm(options) {
  const settings = { 'vm_memory_high_watermark.absolute': String(watermarkBytes) };
  const broker = await startBroker({ ...options, settings });
  try {
    const holder = await Client.open(broker.address);
    holder.write(Buffer.concat([frames.declareQueue(1, 'held'), frames.consume(1, 'held')]));
    await holder.until(id.consumeOk);
    const filler = await Client.open(broker.address);
    const batch = frames.repeat(frames.publish(1, { routingKey: 'held', body: Buffer.alloc(50_000) }), 20);
    // Deliveries that nobody acknowledges stay in memory: it fills, whatever goes to disk.
    const fill = async (isOver) => {
      while (!isOver()) await filler.send(batch, performance.now() + 200);
    };
    return await scenario({ name: 'memory', broker, fill, clear: () => holder.write(frames.ack(1, 0)), ...options });
  } finally {
    await broker.stop('SIGKILL');
  }
}

async function underDiskAlarm(options) {
  const folder = mkdtempSync(join(tmpdir(), 'warren-hardness-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMebibytes}m`, 'tmpfs', folder]);
  let broker = null;
  try {
    const ballast = join(folder, 'ballast');
    writeFileSync(ballast, Buffer.alloc(ballastMebibytes * mebibyte));
    const settings = { 'disk_free_limit.absolute': '30MB' };
    broker = await startBroker({ ...options, settings, folder });
    const filler = await Client.open(broker.address);
    filler.write(frames.declareQueue(1, 'filling', { durable: true }));
    await filler.until(id.declareOk);
    const message = frames.publish(1, { routingKey: 'filling', isPersistent: true, body: Buffer.alloc(50_000, 'f') });
    const batch = frames.repeat(message, 20);
    const fill = async (isOver) => {
      while (!isOver()) await filler.send(batch, performance.now() + 200);
    };
    return await scenario({ name: 'disk', broker, fill, clear: () => rmSync(ballast), ...options });
  } finally {
    await broker?.stop('SIGKILL');
    execFileSync('umount', [folder]);
    rmdirSync(folder);
  }
}

async function scenario({ name, broker, fill, clear, isRealTime }) {
  const { address } = broker;
  const witness = await startBystander({ address, isRealTime });
  const memory = new MemoryWatch(broker.pid);
  const steady = await SteadyPublisher.start(address);
  const deaf = await DeafPublisher.start(address);
  try {
    const startedAtMs = performance.now();
    await Promise.all([fill(() => steady.isBlocked), until(() => steady.isBlocked, `the ${name} alarm`)]);
    const raisedAtMs = performance.now();
    const raised = { anon: memory.look().anon, confirmed: steady.confirmed, written: deaf.writtenBytes };
    memory.anon = raised.anon;
    witness.measure();
    await delay(holdMs);
    if (!steady.isBlocked) throw new Error(`the ${name} alarm was over while its cause lasted`);
    const ping = await witness.report();
    const held = { anon: memory.anon, confirmed: steady.confirmed, written: deaf.writtenBytes };
    const clearedAtMs = performance.now();
    clear();
    await until(() => !steady.isBlocked, `the end of the ${name} alarm`);
    const unblockedAtMs = performance.now();
    await delay(1000);
    await Promise.all([steady.end(), deaf.end()]);
    const found = await countMissing(address, steady);
    const seconds = (from, to) => ((to - from) / 1000).toFixed(1);
    return [
      name,
      seconds(startedAtMs, raisedAtMs),
      seconds(raisedAtMs, clearedAtMs),
      seconds(clearedAtMs, unblockedAtMs),
      [raised.confirmed, held.confirmed - raised.confirmed, steady.confirmed - held.confirmed].map(counted).join(' / '),
      found,
      `${raised.anon.toFixed(0)} / ${held.anon.toFixed(0)}`,
      ((held.written - raised.written) / 1e6).toFixed(1),
      [ping.p50, ping.p99, ping.max].map((value) => value.toFixed(2)).join(' / '),
    ];
  } finally {
    memory.stop();
    witness.stop();
    steady.stop();
    deaf.stop();
  }
}

/** The witness publishes, so an alarm would hold it, too: here it asks for counts instead. */
function startBystander({ address, isRealTime }) {
  return startWitness({ address, isRealTime, isPublishing: false });
}

/** Publishes as fast as a window of confirms allows, and stops when it is told that it is blocked. */
class SteadyPublisher {
  isBlocked = false;
  confirmed = 0;
  published = 0;
  nacked = 0;
  #client;
  #isEnding = false;
  #running;

  static async start(address) {
    const publisher = new SteadyPublisher();
    const client = await Client.open(address);
    publisher.#client = client;
    client.write(Buffer.concat([frames.declareQueue(1, 'steady', { durable: true }), frames.selectConfirms(1)]));
    await client.until(id.selectOk);
    client.onMethod = (methodId, _channel, payload) => publisher.#onMethod(methodId, payload);
    publisher.#running = publisher.#run();
    publisher.#running.catch(() => {}); // told by `end`
    return publisher;
  }

  #onMethod(methodId, payload) {
    // Confirms of one queue come in order: what is confirmed is all up to the highest number.
    if (methodId === id.ack) this.confirmed = Math.max(this.confirmed, Number(payload.readBigUInt64BE(4)));
    else if (methodId === id.nack) this.nacked++;
    else if (methodId === id.blocked) this.isBlocked = true;
    else if (methodId === id.unblocked) this.isBlocked = false;
  }

  async #run() {
    while (!this.#isEnding) {
      if (this.isBlocked || this.published - this.confirmed >= window) {
        await delay(1);
        continue;
      }
      const body = Buffer.alloc(bodyBytes);
      body.writeUInt32BE(++this.published, 0);
      this.#client.write(frames.publish(1, { routingKey: 'steady', isPersistent: true, body }));
      if (this.published % 50 === 0) await new Promise(setImmediate);
    }
  }

  /** After the last confirm. */
  async end() {
    this.#isEnding = true;
    await this.#running;
    await until(() => this.confirmed === this.published, 'the last confirms');
  }

  stop() {
    this.#isEnding = true;
    this.#client.cut();
  }
}

/** Writes on and on, whatever it is told; reads, though. */
class DeafPublisher {
  writtenBytes = 0;
  #client;
  #isEnding = false;
  #running;

  static async start(address) {
    const publisher = new DeafPublisher();
    const client = await Client.open(address);
    publisher.#client = client;
    const args = frames.table([['x-max-length', frames.numberValue(1000)]]);
    client.write(frames.declareQueue(1, 'deaf', { args }));
    await client.until(id.declareOk);
    publisher.#running = publisher.#run();
    return publisher;
  }

  async #run() {
    const batch = frames.repeat(frames.publish(1, { routingKey: 'deaf', body: Buffer.alloc(bodyBytes) }), 20);
    while (!this.#isEnding && !this.#client.isClosed) {
      if (await this.#client.send(batch, performance.now() + 60_000)) this.writtenBytes += batch.length;
      await delay(5);
    }
  }

  async end() {
    this.#isEnding = true;
    await this.#running;
  }

  stop() {
    this.#isEnding = true;
    this.#client.cut();
  }
}

/** Takes everything the steady publisher's queue has and looks at the numbers. */
async function countMissing(address, { published, confirmed, nacked }) {
  const client = await Client.open(address);
  const numbers = [];
  client.onBody = (payload) => numbers.push(payload.readUInt32BE(0));
  client.write(frames.consume(1, 'steady', { noAck: true }));
  await until(() => numbers.length >= published, `${published} messages (${numbers.length} came)`);
  client.cut();
  const isWhole = numbers.every((number, index) => number === index + 1);
  if (!isWhole || nacked > 0) throw new Error(`confirmed messages are missing or out of order; ${nacked} were nacked`);
  return `all ${counted(confirmed)}, in order`;
}

async function until(isThere, what) {
  const giveUpAtMs = performance.now() + raisedMsMax;
  while (!isThere()) {
    if (performance.now() > giveUpAtMs) throw new Error(`${what}: not within ${raisedMsMax / 1000} s`);
    await delay(2);
  }
}
