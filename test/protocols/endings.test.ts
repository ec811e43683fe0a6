/**
 * Goal: whatever a connection holds when it ends, the others have their turn in
 * between, and nothing that is given back goes to one that ends.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENDED_PER_TURN_MAX, type Ending, Endings } from '../../node/protocols/endings.ts';
import { EMPTY_TABLE } from '../../proto/amqp091/field-table.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';
import type { Method } from '../../proto/amqp091/methods.generated.ts';
import { openClient, TestClient } from './support/client.ts';
import { FakeTurns } from './support/fakes.ts';

const consume = (queue: string, noAck: boolean): Method => ({
  name: 'basic.consume',
  queue,
  consumerTag: '',
  noLocal: false,
  noAck,
  exclusive: false,
  noWait: false,
  arguments: EMPTY_TABLE,
});

class FakeEnding implements Ending {
  remaining: number;
  private readonly name: string;
  private readonly log: string[];
  private unstopped: number;

  constructor(name: string, remaining: number, log: string[]) {
    this.name = name;
    this.remaining = remaining;
    this.unstopped = remaining;
    this.log = log;
  }

  stopSome(countMax: number): number {
    const count = Math.min(countMax, this.unstopped);
    this.unstopped -= count;
    if (count > 0) this.log.push(`stop ${this.name} ${count}`);
    return count;
  }

  releaseSome(countMax: number): number {
    const count = Math.min(countMax, this.remaining);
    this.remaining -= count;
    if (count > 0) this.log.push(`release ${this.name} ${count}`);
    return count;
  }
}

test('little is given back at once, much in turns; all are stopped before anything of them is given back', () => {
  const turns = new FakeTurns();
  const endings = new Endings(turns.turn);
  const log: string[] = [];
  const begin = (name: string, count: number): void =>
    endings.begin(new FakeEnding(name, count, log), () => log.push(`${name} done`));
  begin('nothing', 0);
  begin('little', 2);
  assert.deepEqual(log.splice(0), ['nothing done', 'release little 2', 'little done']);
  begin('much', 100);
  begin('other', 3);
  assert.deepEqual(log.splice(0), [], 'who comes later waits as well');
  assert.equal(endings.count, 2);
  turns.endOne();
  assert.deepEqual(log.splice(0), ['stop much 64']);
  turns.endOne();
  assert.deepEqual(log.splice(0), [
    'stop much 36',
    'stop other 3',
    'release much 16',
    'release other 3',
    'release much 6',
  ]);
  turns.endOne();
  assert.deepEqual(log.splice(0), [
    'other done',
    'release much 16',
    'release much 16',
    'release much 16',
    'release much 16',
  ]);
  turns.endOne();
  assert.deepEqual(log.splice(0), ['release much 14', 'much done']);
  turns.endAll();
  begin('again', ENDED_PER_TURN_MAX);
  assert.deepEqual(log.splice(0), [`release again ${ENDED_PER_TURN_MAX}`, 'again done'], 'each turn has its own share');
});

/** A client with so many channels, each with a consumer on queue q1, q2 and so on. */
async function withConsumers(channels: number, noAck = false): Promise<TestClient> {
  const client = await new TestClient().open();
  const numbers = Array.from({ length: channels }, (_, index) => index + 1);
  for (const number of numbers) {
    client.session.queue(`q${number}`);
    client.raw(
      Buffer.concat([methodFrame(number, { name: 'channel.open' }), methodFrame(number, consume(`q${number}`, noAck))]),
    );
  }
  const names = await client.names();
  assert.equal(names.filter((name) => name.endsWith('basic.consume-ok')).length, channels);
  return client;
}

function queuesOf(client: TestClient, channels: number) {
  return Array.from({ length: channels }, (_, index) => client.session.queue(`q${index + 1}`));
}

test('very many channels of a lost connection are stopped, then released, so many in a turn', async () => {
  const channels = 300;
  const client = await withConsumers(channels);
  const queues = queuesOf(client, channels);
  client.socket.destroy();
  assert.equal(client.broker.connections.count, 0, 'it is no connection any more');
  let stopped = 0;
  let released = 0;
  while (client.context.endings.count > 0) {
    client.turns.endOne();
    const nowStopped = queues.filter(({ isFlowOpen }) => !isFlowOpen).length;
    const nowReleased = queues.filter(({ calls }) => calls.includes('release')).length;
    const units = 2 * (nowStopped - stopped + nowReleased - released);
    assert.ok(units > 0 && units <= ENDED_PER_TURN_MAX + 2, `${units} channels and consumers in one turn`);
    if (nowReleased > 0) assert.equal(nowStopped, channels, 'all are stopped first');
    stopped = nowStopped;
    released = nowReleased;
    assert.equal(client.session.isClosed, false, 'the session ends last');
  }
  assert.equal(released, channels);
  await client.settle();
  assert.equal(client.session.isClosed, true);
  assert.equal(client.session.openChannels, 0);
});

test('connection.close of very many channels is answered when all is released and the session is closed', async () => {
  const channels = 200;
  const client = await withConsumers(channels);
  const queues = queuesOf(client, channels);
  client.send(0, { name: 'connection.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 });
  assert.equal(
    queues.some(({ calls }) => calls.includes('release')),
    false,
    'in later turns',
  );
  assert.deepEqual(await client.names(), ['0 connection.close-ok']);
  assert.ok(queues.every(({ calls }) => calls.includes('release')));
  assert.equal(client.session.isClosed, true);
});

test('while a connection ends its channels take and send nothing', async () => {
  const channels = 200;
  const client = await withConsumers(channels);
  const [first] = queuesOf(client, channels);
  first!.answersAtOnce = false;
  client.send(1, { name: 'basic.get', queue: 'q1', noAck: false });
  client.socket.destroy();
  const settledBefore = first!.settled.length;
  first!.answer({ type: 'empty' });
  assert.equal(first!.settled.length, settledBefore);
  await client.settle();
  assert.deepEqual(await client.names(), []);
  assert.ok(first!.released.length >= 1, 'what the answer would have handed over is given back');
});

test('a connection with few channels gives back everything at once', async () => {
  const client = await openClient();
  client.session.queue('q');
  client.send(1, consume('q', false));
  await client.settle();
  client.socket.destroy();
  assert.ok(client.session.queue('q').calls.includes('release'));
  await client.settle();
  assert.equal(client.session.isClosed, true);
});
