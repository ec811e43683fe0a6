/**
 * Goal: in a container the container's memory counts, not the machine's: blocked
 * long before the system would end the process. Needs a control group with a
 * limit, by systemd or as root; what is read from such groups is tested in
 * test/alarms.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { LimitedWarren } from './support/limited-warren.ts';
import { memoryGroup } from './support/memory-group.ts';
import { publishAll } from './support/messages.ts';
import { MIB, mib, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const LIMIT_BYTES = 512 * MIB;
const group = ProcessMemory.isMeasurable ? memoryGroup(LIMIT_BYTES) : { reason: 'control groups are of Linux' };
const skip = 'reason' in group ? group.reason : false;
const launcher = 'launcher' in group ? group.launcher : [];
after(() => 'remove' in group && group.remove());

test(`in a group of ${mib(LIMIT_BYTES)} publishers are blocked at 0.4 of that`, { skip }, async (t) => {
  const warren = await LimitedWarren.start(t, { isEphemeral: true, launcher });
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
  await said.until('connection.unblocked', () => said.count('connection.unblocked') === 1);
});
