/** kombu, Celery and aio-pika as Debian packages them. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../support/broker/broker.ts';
import { uniqueName } from '../support/raw-client/channel.ts';
import { Program, PYTHON, python } from './program.ts';

const broker = await startBroker();
after(() => broker.stop());
const port = String(broker.address.port);

describe('python clients', { concurrency: 2 }, () => {
  test('kombu: simple queues, topics, confirms and heartbeats', async (t) => {
    assert.deepEqual(await python(t, 'kombu_check.py', [port, uniqueName('kombu')]).finish(), [
      ...[0, 1, 2, 3, 4].map((number) => `simple: ${number}`),
      'topic: app.error app.error',
      'topic: app.error app.error',
      'topic: app.info app.info',
      'nothing more',
    ]);
  });

  test('celery: a worker with tasks, results, chains, groups and retries', async (t) => {
    const environment = { WARREN_TEST_PORT: port, WARREN_TEST_QUEUE: uniqueName('celery') };
    const worker = ['-m', 'celery', '-A', 'celery_app', 'worker', '--pool=solo', '--loglevel=warning'];
    new Program(t, PYTHON, worker, { environment }); // killed when the test ends
    assert.deepEqual(await python(t, 'celery_app.py', [], environment).finish(), [
      'add: 5',
      'chain: 13',
      'group: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]',
      'countdown: 2',
      'flaky: done after 2 retries',
      'fails: as expected',
    ]);
  });

  test('aio-pika: confirms, iteration, RPC and transactions', async (t) => {
    assert.deepEqual(await python(t, 'aio_pika_check.py', [port, uniqueName('aio')]).finish(), [
      'sum of 100 messages: 4950',
      'unroutable: returned',
      'rpc: 42',
      'transaction: committed',
    ]);
  });
});
