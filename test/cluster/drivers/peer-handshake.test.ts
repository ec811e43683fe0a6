/**
 * Who is let in: each reason against a link has a text of its own, which both
 * nodes log, and nothing that was said once can be used again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RefusalLog } from '../../../cluster/drivers/peer/refusal-log.ts';
import { refusalBeforeProof } from '../../../cluster/drivers/peer/refusals.ts';
import { startNodes, TestNode, type TestNodeOptions, untilLinked } from './support/peer-nodes.ts';
import { cardOf, codec, RawDialer, type RawStream, rawListener, textOf } from './support/raw-peer.ts';

const withinMs = { timeout: 60_000 };
const token = 'ab'.repeat(16);

interface Case {
  readonly what: string;
  readonly dialer: TestNodeOptions;
  readonly listener: TestNodeOptions;
  readonly text: RegExp;
}

const cases: readonly Case[] = [
  {
    what: 'another cookie',
    dialer: { cookie: 'one' },
    listener: { cookie: 'two' },
    text: /rabbit@listener and rabbit@dialer have different cookies: give every node of a cluster the same one/,
  },
  {
    what: 'another cluster',
    dialer: { clusterId: 'c1' },
    listener: { clusterId: 'c2' },
    text: /rabbit@listener belongs to cluster c2, rabbit@dialer belongs to cluster c1/,
  },
  {
    what: 'what the members say of the dialer',
    dialer: {},
    listener: { judge: ({ name }) => `${name} has another disk now` },
    text: /rabbit@dialer has another disk now/,
  },
  {
    what: 'what the members say of the listener',
    dialer: { judge: ({ name }) => `${name} was removed` },
    listener: {},
    text: /rabbit@listener was removed/,
  },
  {
    what: 'a copied data directory',
    dialer: { nodeId: 'a'.repeat(32) },
    listener: { nodeId: 'a'.repeat(32) },
    text: /two processes run as disk a{32} \(rabbit@dialer\): was its data directory copied\?/,
  },
];

for (const { what, dialer, listener, text } of cases) {
  test(`no link, and both say why: ${what}`, withinMs, async (context) => {
    const from = new TestNode({ ...dialer, name: 'rabbit@dialer' });
    const to = new TestNode({ ...listener, name: 'rabbit@listener' });
    await startNodes(context, from, to);
    from.know(to);
    for (const node of [from, to]) {
      await node.until(() => node.logs.length > 0);
      assert.match(node.logs[0]!, text);
      assert.deepEqual(node.events, []);
    }
  });
}

test('an older life of a disk is refused, and a second process of the same', withinMs, async (context) => {
  const nodeId = 'b'.repeat(32);
  const a = new TestNode({ name: 'rabbit@a' });
  const current = new TestNode({ name: 'rabbit@b', nodeId, incarnation: 7 });
  const older = new TestNode({ name: 'rabbit@b', nodeId, incarnation: 6 });
  const second = new TestNode({ name: 'rabbit@b', nodeId, incarnation: 7 });
  await startNodes(context, a, current, older, second);
  current.know(a);
  await untilLinked(a, current);
  for (const [node, text] of [
    [older, /this is its start number 6, number 7 was seen already: is it an old copy of its data directory\?/],
    [second, /start number 7 was seen in another process: was its data directory copied\?/],
  ] as const) {
    node.know(a);
    await node.until(() => node.logs.length > 0);
    assert.match(node.logs[0]!, text);
    await a.until(() => a.logs.some((line) => text.test(line)));
  }
  assert.deepEqual(a.events, ['up rabbit@b 1'], 'the link that was there stays');
});

test('protocol versions without an overlap are named', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  await startNodes(context, a);
  const raw = new RawDialer(a.links.port);
  context.after(async () => raw.close());
  const card = cardOf({ protocolMin: 2, protocolMax: 3, version: '9.0.0' });
  await assert.rejects(raw.shake(raw.control, 'cookie', { card, linkToken: token, isBulk: false }), {
    message:
      'protocol-version: no common protocol version: rabbit@a (Warren 1.2.3) speaks 1 to 1, rabbit@raw (Warren 9.0.0) speaks 2 to 3',
  });
  assert.equal(refusalBeforeProof(cardOf(), cardOf({ nodeId: 'x', protocolMin: 1, protocolMax: 9 })), null);
});

test('a node that dials itself has no link and says nothing of it', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  const b = new TestNode({ name: 'rabbit@b' });
  await startNodes(context, a, b);
  a.know(a, b);
  await untilLinked(a, b);
  a.send(b, 'done');
  await b.until(() => b.received.length === 1);
  assert.deepEqual(a.events, ['up rabbit@b 1']);
  assert.deepEqual(
    a.logs.filter((line) => /refused/.test(line)),
    [],
  );
});

test('a recorded handshake opens nothing', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  await startNodes(context, a);
  const honest = new RawDialer(a.links.port);
  const thief = new RawDialer(a.links.port);
  context.after(async () => {
    honest.close();
    thief.close();
  });
  const link = { card: cardOf(), linkToken: token, isBulk: false };
  const { hello, proof } = await honest.shake(honest.control, 'cookie', link);
  thief.control.write(hello);
  assert.equal((await thief.control.next())?.step, 'challenge');
  thief.control.write(proof);
  assert.match(textOf(await thief.control.next()), /^wrong-cookie: /);
  const other = await honestProofFor(honest, true);
  thief.bulk.write(other.hello);
  assert.equal((await thief.bulk.next())?.step, 'challenge');
  thief.bulk.write(proof);
  assert.match(textOf(await thief.bulk.next()), /^wrong-cookie: /, 'nor on the other stream');
});

function honestProofFor(honest: RawDialer, isBulk: boolean) {
  return honest.shake(honest.bulk, 'cookie', { card: cardOf(), linkToken: token, isBulk });
}

// The thief has no cookie. It lets a dial it, and passes what a says on to a itself, as if it were its own.
test('what a node proves as a dialer is no proof to it as a listener', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  await startNodes(context, a);
  const accepted = deferred<RawStream>();
  const listener = await rawListener(accepted.resolve);
  context.after(async () => listener.stop());
  a.links.setPeers([{ name: null, host: '127.0.0.1', port: listener.port }]);
  const fromA = await accepted.promise;
  const helloOfA = (await fromA.nextBytes())!;
  const hello = codec.decode(helloOfA);
  assert.ok(hello.step === 'hello');

  const back = new RawDialer(a.links.port);
  const thief = new RawDialer(a.links.port);
  context.after(async () => {
    back.close();
    thief.close();
  });
  back.control.write(helloOfA);
  assert.match(textOf(await back.control.next()), /^self: /, 'its own hello');

  const identity = cardOf({ nodeId: 'c'.repeat(32) });
  thief.control.say({ ...hello, identity });
  const challenge = await thief.control.next();
  assert.ok(challenge?.step === 'challenge');
  fromA.say({ ...challenge, identity });
  const proof = await fromA.next();
  assert.ok(proof?.step === 'proof');
  thief.control.say(proof);
  assert.match(textOf(await thief.control.next()), /^wrong-cookie: /, 'its own proof, over its own nonces');

  fromA.say({ step: 'welcome', proof: proof.proof });
  assert.match(textOf(await fromA.next()), /^wrong-cookie: /, 'sent back to its maker');
});

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

test('the same reason for the same place is told once until there was a link', () => {
  const told: string[] = [];
  const log = new RefusalLog((level, text) => told.push(`${level} ${text}`));
  for (let i = 0; i < 3; i++) log.tell('warn', 'a', 'cookie');
  log.tell('warn', 'b', 'cookie');
  log.tell('warn', 'a', 'cluster');
  log.forget('b');
  log.tell('warn', 'b', 'cookie');
  assert.deepEqual(told, ['warn cookie', 'warn cookie', 'warn cluster', 'warn cookie']);
  for (let i = 0; i < 1000; i++) log.tell('info', `place ${i}`, 'x');
  log.tell('warn', 'b', 'cookie');
  assert.equal(told.length, 4 + 1000 + 1, 'places are forgotten in the end');
});
