/**
 * Runs a command against one RabbitMQ started for it:
 *
 *     node dist/test/support/broker/with-oracle.js node --test dist/test/conformance/amqp091/*.test.js
 *
 * The command finds it through WARREN_TEST_TARGET and WARREN_TEST_RABBIT_DIR
 * (broker.ts); its exit code is this program's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { RabbitNode } from './rabbit.ts';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  console.error('usage: with-oracle COMMAND [ARGUMENT...]');
  process.exitCode = 64;
} else {
  const node = await RabbitNode.start();
  const target = `${node.address.host}:${node.address.port}:rabbit`;
  const environment = { ...process.env, WARREN_TEST_TARGET: target, WARREN_TEST_RABBIT_DIR: node.folder };
  const child = spawn(command, args, { stdio: 'inherit', env: environment });
  const [code] = await once(child, 'exit');
  await node.stop();
  process.exitCode = typeof code === 'number' ? code : 1;
}
