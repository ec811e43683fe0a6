/**
 * Goal: in a container the container's memory counts, not the machine's: blocked
 * long before the system would end the process. Needs systemd to make a control
 * group with a limit; what is read from such groups is tested in test/alarms.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { LimitedWarren } from './support/limited-warren.ts';
import { publishAll } from './support/messages.ts';
import { MIB, mib, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const LIMIT_BYTES = 512 * MIB;
const LAUNCHER = [
  ...['systemd-run', '--scope', '--quiet', ...(process.getuid?.() === 0 ? [] : ['--user'])],
  ...['-p', `MemoryMax=${LIMIT_BYTES}`, '-p', 'MemorySwapMax=0'],
];

test(`in a group of ${mib(LIMIT_BYTES)} publishers are blocked at 0.4 of that`, { skip: reasonToSkip() }, async (t) => {
  const warren = await LimitedWarren.start(t, { isEphemeral: true, launcher: LAUNCHER });
  const connection = await warren.connect();
  const consumer = await connection.openChannel();
  const queue = await consumer.declareQueue();
  const held = new Taker(connection);
  consumer.send('basic.consume', { queue });
  const publisher = await warren.connect();
  await publisher.openChannel();
  const said = new Taker(publisher);
  const isFree = () => said.count('connection.blocked') === 0;
  await publishAll(publisher, { channel: 1, routingKey: queue, count: 20_000, bodyBytes: 50_000 }, isFree);
  assert.equal(said.count('connection.blocked'), 1);
  assert.ok(warren.memory.peakBytes < 0.8 * LIMIT_BYTES, `${mib(warren.memory.peakBytes)} were in use`);
  held.ack(1, held.lastDeliveryTag);
  await said.until('connection.unblocked', () => said.count('connection.unblocked') === 1, 10_000);
});

function reasonToSkip(): string | false {
  if (!ProcessMemory.isMeasurable) return 'control groups are of Linux';
  const [program = '', ...words] = [...LAUNCHER, 'true'];
  const { status, error, stderr } = spawnSync(program, words, { encoding: 'utf8', timeout: 5000 });
  return status === 0 ? false : `no group can be made here: ${error?.message ?? stderr.trim()}`;
}
