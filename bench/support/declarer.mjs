// A small AMQP 0-9-1 client for what amqpbench does one at a time: declares
// many queues with the requests in flight together, and asks how many messages
// a queue holds. Comes in: a port, names; goes out: seconds, counts. Frames are
// put together by hand so that the client is not what is measured.
import { connect } from 'node:net';

const declareOk = 0x0032000b;
const replies = { start: 0x000a000a, tune: 0x000a001e, openOk: 0x000a0029, channelOpenOk: 0x0014000b };
const [connectionClose, channelClose] = [0x000a0032, 0x00140028];

class Client {
  #socket;
  #rest = Buffer.alloc(0);
  /** Called with the method (class in the upper half) and the frame's payload. */
  onMethod = () => {};
  #fail = () => {};

  constructor(port) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    this.failed.catch(() => {}); // for when nobody waits
    this.#socket.on('error', this.#fail);
    this.#socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
    this.#socket.on('data', (chunk) => this.#read(chunk));
  }

  async open() {
    this.#socket.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
    await this.#reply(replies.start);
    const response = longString('\0guest\0guest');
    this.write(method(0, 10, 11, [Buffer.alloc(4), shortString('PLAIN'), response, shortString('en_US')]));
    const tune = await this.#reply(replies.tune);
    // channel-max and frame-max as proposed, no heartbeat.
    this.write(method(0, 10, 31, [tune.subarray(4, 10), Buffer.alloc(2)]));
    this.write(method(0, 10, 40, [shortString('/'), Buffer.alloc(2)]));
    await this.#reply(replies.openOk);
    this.write(method(1, 20, 10, [Buffer.alloc(1)]));
    await this.#reply(replies.channelOpenOk);
    return this;
  }

  write(bytes) {
    this.#socket.write(bytes);
  }

  close() {
    this.#socket.removeAllListeners('close');
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #reply(expected) {
    const arrived = new Promise((resolve) => {
      this.onMethod = (method, payload) => {
        if (method === expected) resolve(payload);
      };
    });
    return Promise.race([arrived, this.failed]);
  }

  #read(chunk) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 8) {
      const end = at + 8 + bytes.readUInt32BE(at + 3);
      if (end > bytes.length) break;
      if (bytes[at] === 1) this.#take(bytes.readUInt32BE(at + 7), bytes.subarray(at + 7, end - 1));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #take(name, payload) {
    if (name === connectionClose || name === channelClose) {
      const text = payload.toString('utf8', 7, 7 + payload[6]);
      this.#fail(new Error(`the broker refused with ${payload.readUInt16BE(4)}: ${text}`));
    } else this.onMethod(name, payload);
  }
}

/** Declares `${prefix}0` to `${prefix}${count - 1}` with at most `window` requests unanswered; seconds it took. */
export async function declareQueues(port, { prefix, count, isDurable, window = 1000 }) {
  const client = await new Client(port).open();
  const startedAtMs = performance.now();
  let [asked, answered] = [0, 0];
  const ask = () => {
    const batch = [];
    for (; asked < count && asked - answered < window; asked++) {
      batch.push(declare(`${prefix}${asked}`, { isPassive: false, isDurable }));
    }
    if (batch.length > 0) client.write(Buffer.concat(batch));
  };
  const done = new Promise((resolve) => {
    client.onMethod = (name) => {
      if (name !== declareOk) return;
      if (++answered === count) resolve();
      else if (asked - answered <= window / 2) ask(); // in gulps, so that writes stay few
    };
  });
  ask();
  await Promise.race([done, client.failed]);
  const seconds = (performance.now() - startedAtMs) / 1000;
  client.close();
  return seconds;
}

/** Messages ready in a queue; an error with the broker's words when there is no such queue. */
export async function countReady(port, name) {
  const client = await new Client(port).open();
  const answer = new Promise((resolve) => {
    client.onMethod = (method, payload) => {
      if (method === declareOk) resolve(payload.readUInt32BE(4 + 1 + payload[4]));
    };
  });
  client.write(declare(name, { isPassive: true, isDurable: false }));
  const ready = await Promise.race([answer, client.failed]);
  client.close();
  return ready;
}

function declare(name, { isPassive, isDurable }) {
  const bits = Buffer.from([(isPassive ? 1 : 0) | (isDurable ? 2 : 0)]);
  return method(1, 50, 10, [Buffer.alloc(2), shortString(name), bits, Buffer.alloc(4)]);
}

function method(channel, classId, methodId, parts) {
  const payload = Buffer.concat([uint16(classId), uint16(methodId), ...parts]);
  const head = Buffer.alloc(7);
  head[0] = 1;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

function uint16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function shortString(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function longString(text) {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
