/**
 * Goal: a client gets in only by the right steps, and learns nothing by the wrong ones. Method: one connection
 * per case over a socket in memory, with a clock that the test moves.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_TABLE } from '../../proto/amqp091/field-table.ts';
import type { Method } from '../../proto/amqp091/methods.generated.ts';
import { allCapabilities, PROTOCOL_HEADER, startOk, TestClient } from './support/client.ts';

async function atTune(clientProperties = allCapabilities): Promise<TestClient> {
  const client = new TestClient();
  client.raw(PROTOCOL_HEADER);
  await client.one('connection.start');
  client.send(0, startOk('guest', 'guest', clientProperties));
  await client.one('connection.tune');
  return client;
}

test('a connection says who it is, proposes limits and opens', async () => {
  const client = new TestClient();
  client.raw(PROTOCOL_HEADER);
  const start = await client.one('connection.start');
  assert.equal(start.mechanisms, 'PLAIN AMQPLAIN');
  assert.equal(start.locales, 'en_US');
  const properties = new Map(start.serverProperties);
  assert.deepEqual(properties.get('product'), { t: 'S', v: 'RabbitMQ' });
  assert.deepEqual(properties.get('version'), { t: 'S', v: '3.13.7' });
  client.send(0, startOk('guest', 'guest', EMPTY_TABLE));
  const tune = await client.one('connection.tune');
  assert.deepEqual(tune, { name: 'connection.tune', channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
  client.send(0, { name: 'connection.tune-ok', channelMax: 5, frameMax: 4096, heartbeat: 90 });
  client.send(0, { name: 'connection.open', virtualHost: '/' });
  await client.one('connection.open-ok');
  const [connection] = client.broker.open;
  const { channelMax, frameMax, heartbeatSeconds, state, user, vhost, name } = connection!.status();
  assert.deepEqual(
    { channelMax, frameMax, heartbeatSeconds, state, user, vhost, name },
    {
      channelMax: 5,
      frameMax: 4096,
      heartbeatSeconds: 90,
      state: 'running',
      user: 'guest',
      vhost: '/',
      name: '10.0.0.9:50000 -> 10.0.0.1:5672',
    },
  );
  assert.equal(client.context.handshakes.count, 0);
});

test('protocol headers: what is taken, what is answered with ours', async () => {
  const taken = ['AMQP\x00\x00\x09\x01', 'AMQP\x01\x01\x00\x09', 'AMQP\x01\x01\x08\x00'];
  for (const header of taken) {
    const client = new TestClient();
    client.raw(Buffer.from(header, 'latin1'));
    const start = await client.one('connection.start');
    const isOld = header.endsWith('\x08\x00');
    assert.deepEqual([start.versionMajor, start.versionMinor], isOld ? [8, 0] : [0, 9]);
    const able = new Map(start.serverProperties).get('capabilities');
    assert.equal(able?.t === 'F' && able.v.length === 0, isOld);
  }
  for (const header of ['AMQP\x00\x00\x09\x02', 'HTTP/1.1', 'AMQP\x00\x01\x00\x00', 'AMQP\x03\x01\x00\x00']) {
    const client = new TestClient();
    client.raw(Buffer.from(header, 'latin1'));
    assert.deepEqual(client.socket.writes, [PROTOCOL_HEADER], JSON.stringify(header));
    assert.equal(client.socket.isEnded, true);
    assert.equal(client.context.handshakes.count, 0);
  }
});

test('the header may come byte by byte, with the next frame right behind it', async () => {
  const client = new TestClient();
  for (const byte of PROTOCOL_HEADER) client.raw(Buffer.from([byte]));
  await client.one('connection.start');
});

test('who says nothing, or too little, is dropped after the handshake time-out', async () => {
  const silent = new TestClient();
  silent.timers.advance(9999);
  assert.equal(silent.socket.isDestroyed, false);
  silent.timers.advance(1);
  assert.equal(silent.socket.isDestroyed, true);

  const slow = new TestClient();
  slow.timers.advance(6000);
  slow.raw(PROTOCOL_HEADER);
  slow.timers.advance(4000);
  assert.equal(slow.socket.isDestroyed, true, 'the time before the header counts');
  assert.equal(slow.context.handshakes.count, 0);
});

test('a refused login is explained to clients that asked for it, at once', async () => {
  const client = new TestClient();
  client.raw(PROTOCOL_HEADER);
  await client.one('connection.start');
  client.send(0, startOk('guest', 'wrong', allCapabilities));
  assert.deepEqual(await client.one('connection.close'), {
    name: 'connection.close',
    replyCode: 403,
    replyText:
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
    classId: 0,
    methodId: 0,
  });
  assert.ok(!client.log.join().includes('wrong,'), 'no password in a log');
});

test('wrong steps before the connection is open end in three seconds of silence', async () => {
  const tuneOk = (channelMax: number, frameMax: number): Method => ({
    name: 'connection.tune-ok',
    channelMax,
    frameMax,
    heartbeat: 0,
  });
  const before: Record<string, Method> = {
    'wrong password without the capability': startOk('guest', 'wrong', EMPTY_TABLE),
    'unknown mechanism': { ...startOk('guest', 'guest', EMPTY_TABLE), mechanism: 'CRAM-MD5' } as Method,
    'PLAIN without NULs': { ...startOk('', '', EMPTY_TABLE), response: Buffer.from('guest guest') } as Method,
    'a method out of place': { name: 'connection.open', virtualHost: '/' },
  };
  const after: Record<string, Method> = {
    'channel_max above the offer': tuneOk(4000, 131_072),
    'channel_max 0': tuneOk(0, 131_072),
    'frame_max above the offer': tuneOk(10, 131_073),
    'frame_max 0': tuneOk(10, 0),
    'frame_max below 4096': tuneOk(10, 4095),
  };
  const run = async (client: TestClient, method: Method, what: string) => {
    client.send(0, method);
    assert.deepEqual(await client.names(), [], what);
    client.timers.advance(2999);
    assert.equal(client.socket.isDestroyed, false, what);
    client.timers.advance(1);
    assert.equal(client.socket.isDestroyed, true, what);
    assert.equal(client.context.handshakes.count, 0, what);
  };
  for (const [what, method] of Object.entries(before)) {
    const client = new TestClient();
    client.raw(PROTOCOL_HEADER);
    await client.look();
    await run(client, method, what);
  }
  for (const [what, method] of Object.entries(after)) await run(await atTune(), method, what);
});

test('AMQPLAIN takes a table with LOGIN and PASSWORD; an empty response drops the socket', async () => {
  const table = Buffer.from('\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest', 'latin1');
  for (const [response, isTaken] of [
    [table, true],
    [Buffer.alloc(0), false],
  ] as const) {
    const client = new TestClient();
    client.raw(PROTOCOL_HEADER);
    await client.look();
    client.send(0, { ...startOk('', '', EMPTY_TABLE), mechanism: 'AMQPLAIN', response } as Method);
    assert.deepEqual(await client.names(), isTaken ? ['0 connection.tune'] : []);
    assert.equal(client.socket.isDestroyed, !isTaken);
  }
});

test('an unknown vhost is refused with 530, blamed on connection.open', async () => {
  const client = await atTune();
  client.send(0, { name: 'connection.tune-ok', channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
  client.send(0, { name: 'connection.open', virtualHost: 'nope' });
  const { replyCode, replyText, classId, methodId } = await client.one('connection.close');
  assert.deepEqual([replyCode, replyText, classId, methodId], [530, 'NOT_ALLOWED - vhost nope not found', 10, 40]);
  assert.equal(client.broker.open.size, 0);
});

test('a heartbeat goes out every half interval of silence; a silent client is dropped after three', async () => {
  const client = await new TestClient().open(1);
  client.timers.advance(500);
  assert.deepEqual(await client.names(), [], 'open-ok was sent in the first half');
  client.timers.advance(500);
  await client.settle();
  client.timers.advance(500);
  assert.deepEqual(await client.names(), ['heartbeat', 'heartbeat']);
  client.timers.advance(1499);
  assert.equal(client.socket.isDestroyed, false);
  client.timers.advance(1);
  assert.equal(client.socket.isDestroyed, true);
});

test('a client that sends heartbeats stays; without heartbeats nobody is dropped', async () => {
  const alive = await new TestClient().open(1);
  const heartbeat = Buffer.from('08000000000000ce', 'hex');
  for (let i = 0; i < 10; i++) {
    alive.timers.advance(1000);
    alive.raw(heartbeat);
  }
  assert.equal(alive.socket.isDestroyed, false);
  const none = await new TestClient().open(0);
  none.timers.advance(3_600_000);
  assert.equal(none.socket.isDestroyed, false);
});

test('connection.close: channels and session end first, then close-ok, and the socket after five seconds', async () => {
  const client = await (await new TestClient().open()).openChannel();
  client.send(0, { name: 'connection.close', replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 });
  assert.deepEqual(await client.names(), ['0 connection.close-ok']);
  assert.equal(client.session.isClosed, true);
  assert.equal(client.session.openChannels, 0);
  assert.equal(client.broker.open.size, 0);
  client.timers.advance(4999);
  assert.equal(client.socket.isEnded, false);
  client.timers.advance(1);
  assert.equal(client.socket.isEnded, true);
});

test('a connection that is forced to close says 320 and gives up after five seconds without close-ok', async () => {
  const client = await new TestClient().open();
  const [connection] = client.broker.open;
  connection!.close("broker forced connection closure with reason 'shutdown'");
  const close = await client.one('connection.close');
  assert.equal(close.replyText, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
  assert.equal(close.replyCode, 320);
  client.send(1, { name: 'channel.open' });
  assert.deepEqual(await client.names(), [], 'what comes before close-ok is dropped');
  client.timers.advance(5000);
  assert.equal(client.socket.isDestroyed, true);
});

test('update-secret is answered; a second open is 504 with its ids', async () => {
  const client = await new TestClient().open();
  client.send(0, { name: 'connection.update-secret', newSecret: Buffer.from('x'), reason: '' });
  await client.one('connection.update-secret-ok');
  client.send(0, { name: 'connection.open', virtualHost: '/' });
  const { replyCode, replyText, classId, methodId } = await client.one('connection.close');
  assert.deepEqual(
    [replyCode, replyText, classId, methodId],
    [504, 'CHANNEL_ERROR - unexpected method in connection state running', 10, 40],
  );
});
