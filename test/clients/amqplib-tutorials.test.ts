/**
 * RabbitMQ's seven tutorials, run with amqplib as somebody who comes from RabbitMQ
 * would: what they print is what the tutorial says they print.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type ChannelModel, connect } from 'amqplib';
import { startBroker, type TestScope } from '../support/broker/broker.ts';
import { uniqueName } from '../support/raw-client/channel.ts';
import { Inbox } from '../support/raw-client/inbox.ts';
import { Output } from './output.ts';
import * as tutorials from './tutorials.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('tutorials with amqplib', { concurrency: true }, () => {
  test('1: hello world', async (t) => {
    const queue = uniqueName('hello');
    const [sent, received] = [new Output(), new Output()];
    await tutorials.receiveHello(await open(t), queue, received.print);
    await tutorials.sendHello(await open(t), queue, sent.print);
    assert.deepEqual(await sent.take(1), [' [x] Sent Hello World!']);
    assert.deepEqual(await received.take(1), [' [x] Received Hello World!']);
  });

  test('2: two workers share the tasks, a busy one gets no second', async (t) => {
    const queue = uniqueName('task_queue');
    const [slow, fast, sent] = [new Output(), new Output(), new Output()];
    const slowWork = new Inbox<string>();
    const untilTold = async () => void (await slowWork.take('the end of the slow task', 10_000));
    await tutorials.worker(await open(t), queue, slow.print, untilTold);
    await tutorials.newTask(await open(t), queue, 'Slow task....', sent.print);
    assert.deepEqual(await slow.take(1), [' [x] Received Slow task....']);
    await tutorials.worker(await open(t), queue, fast.print, async () => {});
    for (const task of ['First.', 'Second..', 'Third...']) {
      await tutorials.newTask(await open(t), queue, task, sent.print);
      assert.deepEqual(await fast.take(2), [` [x] Received ${task}`, ' [x] Done']);
    }
    assert.equal(slow.waiting, 0);
    slowWork.put('done');
    assert.deepEqual(await slow.take(1), [' [x] Done']);
  });

  test('2: the task of a worker that dies is done by another one', async (t) => {
    const queue = uniqueName('task_queue');
    const [dying, other] = [new Output(), new Output()];
    const doomed = await open(t);
    await tutorials.worker(doomed, queue, dying.print, () => new Promise(() => {}));
    await tutorials.newTask(await open(t), queue, 'Precious.', new Output().print);
    assert.deepEqual(await dying.take(1), [' [x] Received Precious.']);
    await tutorials.worker(await open(t), queue, other.print, async () => {});
    await doomed.close();
    assert.deepEqual(await other.take(2), [' [x] Received Precious.', ' [x] Done']);
  });

  test('3: every subscriber gets every log line', async (t) => {
    const exchange = uniqueName('logs');
    const [one, two, sent] = [new Output(), new Output(), new Output()];
    await tutorials.receiveLogs(await open(t), exchange, one.print);
    await tutorials.receiveLogs(await open(t), exchange, two.print);
    await tutorials.emitLog(await open(t), exchange, 'info: Hello World!', sent.print);
    assert.deepEqual(await sent.take(1), [' [x] Sent info: Hello World!']);
    for (const subscriber of [one, two]) assert.deepEqual(await subscriber.take(1), [' [x] info: Hello World!']);
  });

  test('4: a subscriber gets the severities it bound', async (t) => {
    const exchange = uniqueName('direct_logs');
    const [errors, all, sent] = [new Output(), new Output(), new Output()];
    await tutorials.receiveLogsDirect(await open(t), exchange, ['error'], errors.print);
    await tutorials.receiveLogsDirect(await open(t), exchange, ['info', 'warning', 'error'], all.print);
    const connection = await open(t);
    await tutorials.emitLogDirect(connection, exchange, 'info', 'All well.', sent.print);
    await tutorials.emitLogDirect(connection, exchange, 'error', 'Run. Run. Or it will explode.', sent.print);
    assert.deepEqual(await all.take(2), [" [x] info: 'All well.'", " [x] error: 'Run. Run. Or it will explode.'"]);
    assert.deepEqual(await errors.take(1), [" [x] error: 'Run. Run. Or it will explode.'"]);
    assert.equal(errors.waiting, 0);
  });

  test('5: topics', async (t) => {
    const exchange = uniqueName('topic_logs');
    const [all, kernel, critical, sent] = [new Output(), new Output(), new Output(), new Output()];
    await tutorials.receiveLogsTopic(await open(t), exchange, ['#'], all.print);
    await tutorials.receiveLogsTopic(await open(t), exchange, ['kern.*'], kernel.print);
    await tutorials.receiveLogsTopic(await open(t), exchange, ['kern.*', '*.critical'], critical.print);
    const connection = await open(t);
    await tutorials.emitLogTopic(connection, exchange, 'kern.critical', 'A critical kernel error', sent.print);
    await tutorials.emitLogTopic(connection, exchange, 'cron.critical', 'Out of time', sent.print);
    const kernelLine = " [x] kern.critical: 'A critical kernel error'";
    const cronLine = " [x] cron.critical: 'Out of time'";
    assert.deepEqual(await all.take(2), [kernelLine, cronLine]);
    assert.deepEqual(await critical.take(2), [kernelLine, cronLine]);
    assert.deepEqual(await kernel.take(1), [kernelLine]);
    assert.equal(kernel.waiting, 0);
  });

  for (const replyTo of ['own queue', 'direct'] as const) {
    test(`6: RPC, answers through ${replyTo}`, async (t) => {
      const queue = uniqueName('rpc_queue');
      const [server, client] = [new Output(), new Output()];
      await tutorials.rpcServer(await open(t), queue, server.print);
      await tutorials.rpcClient(await open(t), queue, 30, replyTo, client.print);
      assert.deepEqual(await client.take(2), [' [x] Requesting fib(30)', ' [.] Got 832040']);
      assert.deepEqual(await server.take(2), [' [x] Awaiting RPC requests', ' [.] fib(30)']);
    });
  }

  test('7: publisher confirms, one by one and in batches', async (t) => {
    const queue = uniqueName('confirms');
    const output = new Output();
    const channel = await (await open(t)).createConfirmChannel();
    await channel.assertQueue(queue, { durable: true });
    await tutorials.publishConfirmed(channel, queue, 20, 1, output.print);
    await tutorials.publishConfirmed(channel, queue, 1000, 100, output.print);
    assert.deepEqual(await output.take(2), [
      'Published 20 messages in batches of 1',
      'Published 1000 messages in batches of 100',
    ]);
    assert.equal((await channel.checkQueue(queue)).messageCount, 1020);
    assert.equal((await channel.deleteQueue(queue)).messageCount, 1020);
  });
});

async function open(scope: TestScope): Promise<ChannelModel> {
  const connection = await connect({ hostname: broker.address.host, port: broker.address.port });
  scope.after(() => {
    connection.close().catch(() => {}); // expected: the test has closed it already
  });
  return connection;
}
