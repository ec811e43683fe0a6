/** RabbitMQ's seven tutorials with pika (Debian's python3-pika): the printed output is the tutorials'. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker, type TestScope } from '../support/broker/broker.ts';
import { uniqueName } from '../support/raw-client/channel.ts';
import { type Program, python } from './program.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('tutorials with pika', { concurrency: 2 }, () => {
  test('1: hello world', async (t) => {
    const queue = uniqueName('hello');
    assert.deepEqual(await run(t, 'send', queue).finish(), [" [x] Sent 'Hello World!'"]);
    const receive = run(t, 'receive', queue);
    assert.deepEqual(await receive.nextLines(2), [
      ' [*] Waiting for messages. To exit press CTRL+C',
      ' [x] Received Hello World!',
    ]);
  });

  test('2: work queues', async (t) => {
    const queue = uniqueName('task_queue');
    for (const task of ['First.', 'Second..']) {
      assert.deepEqual(await run(t, 'new_task', queue, task).finish(), [` [x] Sent ${task}`]);
    }
    const worker = run(t, 'worker', queue);
    assert.deepEqual(await worker.nextLines(5), [
      ' [*] Waiting for messages. To exit press CTRL+C',
      ' [x] Received First.',
      ' [x] Done',
      ' [x] Received Second..',
      ' [x] Done',
    ]);
  });

  test('3: publish and subscribe', async (t) => {
    const exchange = uniqueName('logs');
    const subscribers = [run(t, 'receive_logs', exchange), run(t, 'receive_logs', exchange)];
    for (const subscriber of subscribers) await subscriber.nextLines(1);
    assert.deepEqual(await run(t, 'emit_log', exchange, 'info: Hello World!').finish(), [
      ' [x] Sent info: Hello World!',
    ]);
    for (const subscriber of subscribers) assert.deepEqual(await subscriber.nextLines(1), [' [x] info: Hello World!']);
  });

  for (const { number, type, keys, sent, received } of [
    {
      number: 4,
      type: 'direct',
      keys: ['warning', 'error'],
      sent: ['info', 'error', 'warning'],
      received: ['error', 'warning'],
    },
    {
      number: 5,
      type: 'topic',
      keys: ['kern.*', '*.critical'],
      sent: ['kern.info', 'cron.info', 'cron.critical'],
      received: ['kern.info', 'cron.critical'],
    },
  ]) {
    test(`${number}: a ${type} exchange`, async (t) => {
      const exchange = uniqueName(type);
      const subscriber = run(t, 'receive_by_keys', type, exchange, ...keys);
      await subscriber.nextLines(1);
      for (const key of sent) {
        assert.deepEqual(await run(t, 'emit', type, exchange, key, 'Run.').finish(), [` [x] Sent ${key}:Run.`]);
      }
      assert.deepEqual(
        await subscriber.nextLines(2),
        received.map((key) => ` [x] ${key}:Run.`),
      );
    });
  }

  for (const replyTo of ['own', 'amq.rabbitmq.reply-to']) {
    test(`6: RPC, answers to ${replyTo}`, async (t) => {
      const queue = uniqueName('rpc_queue');
      const server = run(t, 'rpc_server', queue);
      assert.deepEqual(await server.nextLines(1), [' [x] Awaiting RPC requests']);
      assert.deepEqual(await run(t, 'rpc_client', queue, '20', replyTo).finish(), [
        ' [x] Requesting fib(20)',
        ' [.] Got 6765',
      ]);
      assert.deepEqual(await server.nextLines(1), [' [.] fib(20)']);
    });
  }

  test('7: publisher confirms', async (t) => {
    assert.deepEqual(await run(t, 'publish_confirmed', uniqueName('confirms'), '100').finish(), [
      ' [x] 100 messages confirmed',
      ' [x] An unroutable message was returned',
      ' [x] 100 messages in the queue',
    ]);
  });
});

function run(scope: TestScope, program: string, ...args: readonly string[]): Program {
  return python(scope, 'pika_tutorials.py', [String(broker.address.port), program, ...args]);
}
