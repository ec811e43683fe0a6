/** rabbitmq-c's command line tools (Debian's amqp-tools). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker, type TestScope } from '../support/broker/broker.ts';
import { uniqueName } from '../support/raw-client/channel.ts';
import { Program } from './program.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('amqp-tools', { concurrency: 2 }, () => {
  test('declare, publish, get, delete', async (t) => {
    const queue = uniqueName('tools');
    assert.deepEqual(await tool(t, 'amqp-declare-queue', ['-d', '-q', queue]), [queue]);
    await tool(t, 'amqp-publish', ['-r', queue, '-p', '-b', 'first']);
    await tool(t, 'amqp-publish', ['-r', queue, '-C', 'text/plain'], 'from standard input');
    assert.deepEqual(await tool(t, 'amqp-get', ['-q', queue]), ['first']);
    assert.deepEqual(await tool(t, 'amqp-delete-queue', ['-q', queue]), ['1']);
  });

  test('consume through a binding, one program per message', async (t) => {
    const queue = uniqueName('tools');
    await tool(t, 'amqp-declare-queue', ['-q', queue]);
    for (const body of ['one', 'two', 'three']) await tool(t, 'amqp-publish', ['-r', queue, '-b', `${body}\n`]);
    assert.deepEqual(await tool(t, 'amqp-consume', ['-q', queue, '-c', '3', 'cat']), ['one', 'two', 'three']);
  });

  test('consume from an exchange with a queue of its own', async (t) => {
    const key = uniqueName('key');
    const consumer = new Program(t, 'amqp-consume', [
      ...['-u', url()],
      ...['-e', 'amq.topic', '-r', `${key}.#`, '-c', '1', 'cat'],
    ]);
    const answered = consumer.finish();
    let isDone = false;
    void answered.then(() => {
      isDone = true;
    });
    // The tool says nothing when its binding is there: publish until it has heard.
    while (!isDone) await tool(t, 'amqp-publish', ['-e', 'amq.topic', '-r', `${key}.a`, '-b', 'heard\n']);
    assert.deepEqual(await answered, ['heard']);
  });
});

async function tool(scope: TestScope, name: string, args: readonly string[], input = ''): Promise<string[]> {
  const [first = '', ...rest] = args;
  return new Program(scope, name, ['-u', url(), first, ...rest], { input }).finish();
}

function url(): string {
  return `amqp://guest:guest@127.0.0.1:${broker.address.port}`;
}
