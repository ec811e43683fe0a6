/**
 * What reaches the port between nodes without the cookie, or with it and out of
 * its mind: bounded, refused, and no node is kept out by it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Random } from '../../fuzz/core/random.ts';
import { startNodes, TEST_KIND, TestNode, untilLinked } from './support/peer-nodes.ts';
import { cardOf, codec, RawDialer, textOf } from './support/raw-peer.ts';

const withinMs = { timeout: 60_000 };
const RAW_ID = '0'.repeat(32);
const token = 'cd'.repeat(16);

test('a connection that proves nothing in time is dropped, whatever it says', withinMs, async (context) => {
  const node = new TestNode({ timings: { handshakeMs: 150 } });
  await startNodes(context, node);
  for (const said of ['', 'GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\0'.repeat(1000)]) {
    const socket = connect(node.links.port, '127.0.0.1');
    socket.on('error', () => {}); // reset is an answer too
    socket.write(said);
    socket.resume();
    await once(socket, 'close');
  }
  const halfWay = new RawDialer(node.links.port);
  context.after(async () => halfWay.close());
  halfWay.control.say({ step: 'hello', nonce: Buffer.alloc(32), identity: cardOf(), linkToken: token, isBulk: false });
  await halfWay.control.closed;
  await halfWay.bulk.closed;
});

test('connections in numbers keep no node out', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a', timings: { pendingMax: 8 } });
  const b = new TestNode({ name: 'rabbit@b' });
  await startNodes(context, a, b);
  let closed = 0;
  const sockets = Array.from({ length: 50 }, () => {
    const socket = connect(a.links.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('close', () => {
      closed++;
      b.look();
    });
    return socket.resume();
  });
  await b.until(() => closed >= 42);
  b.know(a);
  await untilLinked(a, b);
  assert.ok(a.logs.some((line) => /8 connections to the port for nodes prove nothing/.test(line)));
  for (const socket of sockets) socket.destroy();
});

test('what is too large or no handshake is refused before anything is proved', withinMs, async (context) => {
  const node = new TestNode();
  await startNodes(context, node);
  const hello = { step: 'hello', nonce: Buffer.alloc(32), linkToken: token, isBulk: false } as const;
  const cases: readonly (readonly [what: string, bytes: Buffer, answer: RegExp])[] = [
    [
      '5000 bytes',
      Buffer.concat([Buffer.from([1, 1]), Buffer.alloc(4998)]),
      /a link message of 5000 bytes, at most 4096/,
    ],
    ['200 KiB', Buffer.alloc(200 * 1024, 1), /a link message of 204800 bytes/],
    ['more than any message', Buffer.alloc(300 * 1024, 1), /larger than max|the stream is over/],
    ['nothing', Buffer.alloc(0), /kind undefined/],
    ['a frame', Buffer.from([TEST_KIND, 1, 2, 3]), /a message of kind 200/],
    ['a later format', Buffer.from([1, 2, 0]), /format 2/],
    ['no protobuf', Buffer.concat([Buffer.from([1, 1]), Buffer.alloc(40, 0xff)]), /not protobuf/],
    ['no step', Buffer.from([1, 1]), /without a step/],
    [
      'a step too early',
      codec.encode({ step: 'proof', proof: Buffer.alloc(32) }),
      /the step proof, which is not the next/,
    ],
    ['an adoption', codec.encode({ step: 'adopt' }), /the step adopt, which is not the next/],
    ['a bulk hello on control', codec.encode({ ...hello, identity: cardOf(), isBulk: true }), /the step hello/],
    [
      'a short nonce',
      codec.encode({ ...hello, identity: cardOf(), nonce: Buffer.alloc(8) }),
      /nonce has 8 bytes, expected 32/,
    ],
    [
      'a name for the log',
      codec.encode({ ...hello, identity: cardOf({ name: 'a@b\n[warn] x' }) }),
      /name is not name@host/,
    ],
    ['an id of a path', codec.encode({ ...hello, identity: cardOf({ nodeId: '../../x' }) }), /nodeId is not a word/],
  ];
  for (const [what, bytes, answer] of cases) {
    const raw = new RawDialer(node.links.port);
    raw.control.write(bytes);
    const said = textOf(await raw.control.next());
    assert.match(`${said} ${await raw.control.closed}`, answer, what);
    raw.close();
  }
  assert.deepEqual(node.events, []);
});

test('who has the cookie and sends nonsense loses its link, and only that', withinMs, async (context) => {
  const node = new TestNode({ name: 'rabbit@a' });
  const friend = new TestNode({ name: 'rabbit@b' });
  node.links.handle(201, {
    onFrame: () => {
      throw new RangeError('cut off at byte 3');
    },
  });
  await startNodes(context, node, friend);
  friend.know(node);
  await untilLinked(node, friend);
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const part = (total: number, offset: number, bytes: number): Buffer =>
    Buffer.concat([Buffer.from([2, 1]), u32(total), u32(offset), Buffer.alloc(bytes)]);
  const cases: readonly (readonly [what: string, messages: readonly Buffer[], log: RegExp])[] = [
    ['a kind without a handler', [Buffer.from([250, 1])], /kind 250, without a handler/],
    ['a kind of the links', [Buffer.from([9, 1])], /kind 9, which is not known/],
    ['one byte', [Buffer.from([TEST_KIND])], /a message of 1 bytes/],
    ['a malformed frame', [Buffer.from([201, 1])], /cut off at byte 3/],
    [
      'a pack that ends early',
      [Buffer.concat([Buffer.from([0, 1]), u32(9), Buffer.from([TEST_KIND, 1])])],
      /9 bytes where 2/,
    ],
    ['half a length', [Buffer.from([0, 1, 0, 0])], /ends in a length/],
    ['a pack in a pack', [Buffer.concat([Buffer.from([0, 1]), u32(2), Buffer.from([0, 1])])], /kind 0 inside a pack/],
    ['an unknown pack', [Buffer.from([0, 7])], /kind 0 in format 7/],
    ['a frame of 1 GiB', [part(1 << 30, 0, 10)], /a frame in parts of 1073741824 bytes/],
    [
      'a part that is not next',
      [part(1 << 20, 0, 10), part(1 << 20, 11, 10)],
      /bytes 11 to 21 of 1048576 where byte 10/,
    ],
    ['a part beyond the end', [part(300_000, 0, 262_144), part(300_000, 262_144, 262_144)], /of 300000/],
    ['a frame between parts', [part(1 << 20, 0, 10), Buffer.from([TEST_KIND, 1])], /in the middle of a frame/],
    ['a handshake again', [codec.encode({ step: 'welcome', proof: Buffer.alloc(32) })], /the step welcome after/],
    ['an adoption again', [codec.encode({ step: 'adopt' })], /the step adopt on a link that is up/],
  ];
  let incarnation = 1;
  for (const [what, messages, log] of cases) {
    const raw = new RawDialer(node.links.port);
    incarnation++;
    node.logs.length = 0;
    await raw.link('cookie', cardOf({ incarnation }));
    await node.until(() => node.links.linkOf(RAW_ID) !== 0);
    for (const message of messages) raw.control.write(message);
    await node.until(() => node.links.linkOf(RAW_ID) === 0 && node.logs.some((line) => line.includes('is down')));
    assert.match(node.logs.at(-1)!, log, what);
    raw.close();
  }
  assert.ok(node.isLinkedTo(friend));
  assert.deepEqual(friend.events, ['up rabbit@a 1']);
});

test('changed bytes end a link and never a node', withinMs, async (context) => {
  const node = new TestNode({ name: 'rabbit@a' });
  await startNodes(context, node);
  const random = new Random(20);
  for (let incarnation = 1; incarnation <= 12; incarnation++) {
    const raw = new RawDialer(node.links.port);
    await raw.link('cookie', cardOf({ incarnation }));
    await node.until(() => node.links.linkOf(RAW_ID) !== 0);
    for (let i = 0; i < 50; i++) {
      const bytes = Buffer.from(codec.encode({ step: 'farewell', reason: 'x', text: 'y'.repeat(random.below(50)) }));
      for (let change = 0; change < 3; change++) bytes[random.below(bytes.length)] = random.below(256);
      (random.below(2) === 0 ? raw.control : raw.bulk).write(bytes);
    }
    await node.until(() => node.links.linkOf(RAW_ID) === 0);
    raw.close();
  }
});
