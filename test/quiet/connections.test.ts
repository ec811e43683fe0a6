/**
 * Goal: connections and channels are bounded in what they may cost: thousands
 * that never log in, thousands of channels of which each keeps a little.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { beside } from '../limits/support/beside.ts';
import { LimitedWarren } from '../limits/support/limited-warren.ts';
import { encodePublishes, publishAll } from '../limits/support/messages.ts';
import { MIB, ProcessMemory } from '../limits/support/process-memory.ts';
import { Taker } from '../limits/support/taker.ts';
import { connect } from '../support/raw-client/connect.ts';
import { frame } from '../support/raw-client/connection.ts';
import { encodeMethod } from '../support/raw-client/method-codec.ts';

const DAWDLERS = 4600;
const DAWDLERS_MAX = 4096;
const HANDSHAKE_MS = 2000;
const CHANNELS = 2000;

test(`${DAWDLERS} clients that send a byte a second and never log in`, { skip: reasonToSkip() }, async (t) => {
  const warren = await LimitedWarren.start(t, {
    isEphemeral: true,
    settings: { handshake_timeout: String(HANDSHAKE_MS) },
  });
  await beside(t, warren, 120 * MIB, async () => {
    const dawdlers = new Dawdlers(t, warren.address.port);
    await dawdlers.connect(DAWDLERS);
    await delay(200);
    assert.ok(dawdlers.open <= DAWDLERS_MAX, `${dawdlers.open} of them may wait at a time`);
    assert.ok(dawdlers.open > DAWDLERS_MAX / 2, `only ${dawdlers.open} are left before their time`);

    const startedAt = performance.now();
    const honest = await connect(warren.address);
    await (await honest.openChannel()).declareQueue();
    assert.ok(performance.now() - startedAt < 1000, 'who logs in comes through');
    honest.destroy();

    const giveUpAt = performance.now() + HANDSHAKE_MS + 3000;
    while (dawdlers.open > 0 && performance.now() < giveUpAt) await delay(50);
    assert.equal(dawdlers.open, 0, 'their time is not prolonged by what they send');
  });
});

test(`${CHANNELS} channels that wait, each with 200 KB behind it, on a connection that does not read`, {
  skip: reasonToSkip(),
}, async (t) => {
  const warren = await LimitedWarren.start(t);
  const offender = await warren.connect();
  const first = await offender.openChannel();
  const backlog = await first.declareQueue();
  const target = await first.declareQueue({ durable: true });
  for (let number = 2; number <= CHANNELS + 1; number += 1) offender.sendMethod(number, 'channel.open');
  await offender.expect(CHANNELS + 1, 'channel.open-ok');
  const taken = new Taker(offender);
  offender.pauseReading();
  await beside(t, warren, 180 * MIB, async () => {
    await publishAll(offender, { channel: 1, routingKey: backlog, count: 400, bodyBytes: 100_000 });
    first.send('basic.consume', { queue: backlog, noAck: true });
    await delay(300);
    const sending = (async () => {
      for (let channel = 2; channel <= CHANNELS + 1; channel += 1) {
        const get = frame(1, channel, encodeMethod('basic.get', { queue: target, noAck: true }));
        const behind = { channel, routingKey: target, count: 2, bodyBytes: 100_000 };
        await offender.sendAndDrain(Buffer.concat([get, encodePublishes(behind, 0, behind.count)]));
      }
    })();
    await Promise.race([sending, delay(1500)]);
    assert.ok(offender.unsentBytes > 0, 'it is held back');
    offender.resumeReading();
    await sending;
    const answers = () => taken.count('basic.get-ok') + taken.count('basic.get-empty');
    await taken.until('an answer for each channel', () => answers() === CHANNELS);
  });
  const looking = await (await warren.connect()).openChannel();
  const { messages } = await looking.inspect(target);
  assert.equal(messages + taken.count('basic.get-ok'), CHANNELS * 2, 'what was kept was published');
});

/** Clients that begin the protocol header and go on with one byte a second. */
class Dawdlers {
  private readonly port: number;
  private readonly sockets = new Set<Socket>();

  constructor(t: TestContext, port: number) {
    this.port = port;
    const timer = setInterval(() => {
      for (const socket of this.sockets) socket.write('M');
    }, 1000);
    t.after(() => {
      clearInterval(timer);
      for (const socket of this.sockets) socket.destroy();
    });
  }

  get open(): number {
    return this.sockets.size;
  }

  async connect(count: number): Promise<void> {
    for (let i = 0; i < count; i += 100) await Promise.all(Array.from({ length: 100 }, () => this.connectOne()));
  }

  private connectOne(): Promise<void> {
    return new Promise((resolve) => {
      const socket = createConnection(this.port, '127.0.0.1');
      socket.on('error', () => {}); // 'close' follows
      socket.on('connect', () => {
        this.sockets.add(socket);
        socket.write('A');
        resolve();
      });
      socket.on('close', () => {
        this.sockets.delete(socket);
        resolve();
      });
      socket.resume();
    });
  }
}

function reasonToSkip(): string | false {
  if (!ProcessMemory.isMeasurable) return 'the memory of another process is read from /proc';
  const [, files = '0'] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
  return Number(files) > DAWDLERS + 500 ? false : `a process may open ${files} files, ${DAWDLERS + 500} are needed`;
}
