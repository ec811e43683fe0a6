// The book of one queue: what went into it and has not come out for good.
//
// One publisher feeds a track, in the order of its numbers; `mark` of a message
// is its number and the track's name. A message is expected until it is settled.
// With `order: 'first'` the first delivery of each message has to come in the
// order of publishing, without a gap (one consumer, no priorities); with `none`
// each has to come at least once. What comes after it was settled is a
// duplicate, unless the client cut its own connection and the message says that
// it was redelivered.

const findingsMax = 20;

export class Findings {
  lost = 0;
  duplicated = 0;
  reordered = 0;
  damaged = 0;
  refused = 0;
  /** The first ones, in words. */
  texts = [];

  note(kind, text) {
    this[kind]++;
    if (this.texts.length < findingsMax) this.texts.push(`${kind}: ${text}`);
  }

  get total() {
    return this.lost + this.duplicated + this.reordered + this.damaged + this.refused;
  }
}

export class Track {
  published = 0;
  settled = 0;
  redelivered = 0;
  /** Not settled: number to body bytes, in order of publishing. */
  #open = new Map();
  /** Numbers not delivered yet, in order; those before `#head` are taken. */
  #waiting = [];
  #head = 0;

  constructor(name, findings, { order = 'first', isCut = false } = {}) {
    this.name = name;
    this.findings = findings;
    this.order = order;
    this.isCut = isCut;
  }

  get openCount() {
    return this.#open.size;
  }

  publish(number, bodyBytes) {
    this.published++;
    this.#open.set(number, bodyBytes);
    if (this.order === 'first') this.#waiting.push(number);
  }

  /** @returns the number of a message that was delivered */
  deliver(message) {
    const { fields, properties, content } = message;
    const number = Number(String(properties.messageId).split(' ')[0]);
    const bodyBytes = this.#open.get(number);
    if (bodyBytes === undefined) {
      this.#unexpected(number, fields.redelivered);
      return number;
    }
    if (content.length !== bodyBytes || (bodyBytes > 0 && content[bodyBytes - 1] !== byteOf(number))) {
      this.findings.note('damaged', `${this.name} ${number}: ${content.length} bytes, expected ${bodyBytes}`);
    }
    if (fields.redelivered) this.redelivered++;
    if (this.order === 'first') this.#inOrder(number, fields.redelivered);
    return number;
  }

  settle(number) {
    if (this.#open.delete(number)) this.settled++;
  }

  /** At the end: what did not come is lost. */
  close() {
    if (this.#open.size === 0) return;
    const [first] = this.#open.keys();
    const text = `${this.name}: ${this.#open.size} of ${this.published} messages, the first is ${first}`;
    for (let left = this.#open.size; left > 0; left--) this.findings.note('lost', text);
  }

  #unexpected(number, isRedelivered) {
    if (this.isCut && isRedelivered) this.redelivered++;
    else this.findings.note('duplicated', `${this.name} ${number} was settled before`);
  }

  #inOrder(number, isRedelivered) {
    const next = this.#waiting[this.#head];
    if (number === next) {
      this.#head++;
      if (this.#head > 10_000 && this.#head > this.#waiting.length / 2) this.#trim();
      return;
    }
    if (isRedelivered && (next === undefined || number < next)) return;
    this.findings.note('reordered', `${this.name}: ${number} came where ${next} was expected`);
    const at = this.#waiting.indexOf(number, this.#head);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #trim() {
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }
}

const filler = Buffer.alloc(1024 * 1024);

/** A body that ends with a byte of its number's. Valid until the end of the turn only when it is large: copied below. */
export function bodyOf(number, bytes) {
  if (bytes === 0) return filler.subarray(0, 0);
  const body = bytes > 65_536 ? Buffer.from(filler.subarray(0, bytes)) : Buffer.alloc(bytes, 'soak');
  body[bytes - 1] = byteOf(number);
  return body;
}

function byteOf(number) {
  return (number * 31 + 7) & 0xff;
}
