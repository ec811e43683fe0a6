// One connection of an offender: the handshake, then whatever bytes it likes.
// Comes in: an address and what to pretend; goes out: counts of methods by id,
// and everything the broker said about it in words. Keeps no message.
import { Socket } from 'node:net';
import * as frames from './frames.mjs';

const { id } = frames;
const openWithinMs = 20_000;
/** One wait of a sender without a deadline. */
const waitMsMax = 60_000;
/** Different sentences kept of what was told. */
const sentencesMax = 20;

export class Client {
  /** How often each method came. */
  counts = new Map();
  receivedBytes = 0;
  /** Delivery tag of the last basic.deliver or basic.get-ok. */
  lastTag = 0;
  /** Milliseconds that `send` waited because the broker did not read. */
  heldMs = 0;
  isClosed = false;
  answersChannelClose = true;
  /** Called with (id, channel, payload) for each method. */
  onMethod = () => {};
  /** Called with each body frame's payload, which is only valid during the call. */
  onBody = () => {};
  /** Sentence to how often it was said. */
  told = new Map();

  #socket;
  #rest = Buffer.alloc(0);
  #isSlow = false;

  constructor(socketOptions) {
    // One byte for each read of the system, for who asks for it: that is how slowly one can read.
    const callback = (_count, buffer) => {
      this.#read(Buffer.from(buffer));
      return !this.#isSlow;
    };
    const { isBytewise = false } = socketOptions;
    const socket = new Socket(isBytewise ? { onread: { buffer: Buffer.alloc(1), callback } } : {});
    this.#socket = socket;
    socket.on('error', (error) => this.#tell(`socket: ${error.code}`));
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('data', (chunk) => this.#read(chunk));
  }

  /** A connected socket on which nothing was said. */
  static async dial({ host, port }, socketOptions = {}) {
    const client = new Client(socketOptions);
    const socket = client.#socket;
    const connected = new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.connect({ host, port, noDelay: true });
    await connected;
    return client;
  }

  /** From now on a byte a second; of a connection that was made with `isBytewise`. */
  readSlowly() {
    this.#isSlow = true;
    setInterval(() => this.#socket.resume(), 1000).unref();
  }

  /** Logged in, channels 1 to `channels` open. */
  static async open(address, options = {}) {
    const { channels = 1, socketOptions = {}, ...pretended } = options;
    const client = await Client.dial(address, socketOptions);
    await client.shakeHands(address, pretended);
    if (channels > 0) {
      client.write(Buffer.concat(Array.from({ length: channels }, (_, index) => frames.openChannel(index + 1))));
      await client.until(id.channelOpenOk, channels);
    }
    return client;
  }

  async shakeHands(address, { heartbeat = 0, knowsBlocked = true } = {}) {
    const { user = 'guest', password = 'guest', vhost = '/' } = address;
    this.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
    await this.until(id.start);
    const capabilities = frames.tableValue([
      ['connection.blocked', frames.truthValue(knowsBlocked)],
      ['consumer_cancel_notify', frames.truthValue(true)],
      ['basic.nack', frames.truthValue(true)],
      ['publisher_confirms', frames.truthValue(true)],
    ]);
    const properties = frames.table([['capabilities', capabilities]]);
    const login = [
      frames.shortString('PLAIN'),
      frames.longString(`\0${user}\0${password}`),
      frames.shortString('en_US'),
    ];
    this.write(frames.method(0, 10, 11, properties, ...login));
    const tune = await this.until(id.tune);
    this.write(frames.method(0, 10, 31, tune.subarray(4, 10), frames.uint16(heartbeat)));
    this.write(frames.method(0, 10, 40, frames.shortString(vhost), Buffer.alloc(2)));
    await this.until(id.connectionOpenOk);
  }

  count(methodId) {
    return this.counts.get(methodId) ?? 0;
  }

  write(bytes) {
    return !this.isClosed && this.#socket.write(bytes);
  }

  /** Waits until the system has taken it, at most until `untilMs`. False when it has not by then, or never will. */
  async send(bytes, untilMs) {
    if (this.isClosed) return false;
    if (this.#socket.write(bytes)) {
      await new Promise(setImmediate); // for what comes in
      return true;
    }
    const startedAtMs = performance.now();
    const isTaken = await new Promise((resolve) => {
      const end = (isDone) => {
        clearTimeout(timer);
        this.#socket.off('drain', onDrain);
        this.#socket.off('close', onClose);
        resolve(isDone);
      };
      const timer = setTimeout(() => end(false), Math.max(0, Math.min(waitMsMax, untilMs - startedAtMs)));
      const onDrain = () => end(true);
      const onClose = () => end(false);
      this.#socket.once('drain', onDrain);
      this.#socket.once('close', onClose);
    });
    this.heldMs += performance.now() - startedAtMs;
    return isTaken;
  }

  /** The payload of the `count`th method with this id since the connection was made; throws when it is not to be. */
  until(methodId, count = 1, withinMs = openWithinMs) {
    return new Promise((resolve, reject) => {
      const giveUpAtMs = performance.now() + withinMs;
      const look = setInterval(() => {
        if (this.count(methodId) >= count) settle(() => resolve(this.lastPayload));
        else if (this.isClosed || performance.now() > giveUpAtMs) {
          const said = this.toldText() || 'nothing';
          settle(() => reject(new Error(`method ${methodId.toString(16)} x ${count} did not come; told: ${said}`)));
        }
      }, 2);
      const settle = (end) => {
        clearInterval(look);
        end();
      };
    });
  }

  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  get unsentBytes() {
    return this.#socket.writableLength;
  }

  /** Cuts it, as a crash would. */
  cut() {
    this.#socket.resetAndDestroy();
  }

  toldText() {
    return [...this.told].map(([text, times]) => (times === 1 ? text : `${text} (${times} times)`)).join('; ');
  }

  #tell(text) {
    if (this.told.has(text) || this.told.size < sentencesMax) this.told.set(text, (this.told.get(text) ?? 0) + 1);
  }

  #read(chunk) {
    this.receivedBytes += chunk.length;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= frames.frameOverheadBytes) {
      const end = at + frames.frameOverheadBytes + bytes.readUInt32BE(at + 3);
      if (end > bytes.length) break;
      if (bytes[at] === frames.bodyFrame) this.onBody(bytes.subarray(at + 7, end - 1));
      else if (bytes[at] === frames.methodFrame)
        this.#take(bytes.readUInt16BE(at + 1), bytes.subarray(at + 7, end - 1));
      at = end;
    }
    this.#rest = at === 0 ? bytes : Buffer.from(bytes.subarray(at));
  }

  #take(channel, payload) {
    const methodId = payload.readUInt32BE(0);
    this.counts.set(methodId, this.count(methodId) + 1);
    this.lastPayload = payload;
    if (methodId === id.deliver) this.lastTag = Number(payload.readBigUInt64BE(5 + payload[4]));
    else if (methodId === id.getOk) this.lastTag = Number(payload.readBigUInt64BE(4));
    else if (methodId === id.channelClose || methodId === id.connectionClose) this.#onClose(methodId, channel, payload);
    else if (methodId === id.blocked) this.#tell(`connection.blocked: ${payload.toString('utf8', 5)}`);
    else if (methodId === id.unblocked) this.#tell('connection.unblocked');
    else if (methodId === id.cancel) this.#tell('basic.cancel');
    else if (methodId === id.returned) this.#tell(`basic.return ${payload.readUInt16BE(4)}`);
    this.onMethod(methodId, channel, payload);
  }

  #onClose(methodId, channel, payload) {
    const whose = methodId === id.channelClose ? 'channel' : 'connection';
    // Numbers apart, the same sentence: names that count up would make thousands.
    const text = payload.toString('utf8', 7, 7 + payload[6]).replace(/-\d+'/g, "-N'");
    this.#tell(`${whose}.close ${payload.readUInt16BE(4)} ${text}`);
    if (whose === 'channel' && this.answersChannelClose) this.write(frames.closeChannelOk(channel));
    else if (whose === 'connection') this.write(frames.method(0, 10, 51));
  }
}

/** Sends `next()`, a buffer, again and again until the time is over. @returns how many were taken */
export async function flood(client, untilMs, next) {
  let taken = 0;
  while (performance.now() < untilMs && !client.isClosed) {
    if (!(await client.send(next(), untilMs))) break;
    taken++;
  }
  return taken;
}
