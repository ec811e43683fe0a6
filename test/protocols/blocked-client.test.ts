/**
 * Goal: a client that an alarm holds and that goes away is noticed, since what it
 * holds may be what the alarm is about. Its socket is not read, so it is written
 * to: that fails when nobody is there.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCKED_PROBE_MS } from '../../node/protocols/amqp091/alarm-hold.ts';
import { openClient } from './support/client.ts';

test('a blocked client gets heartbeats until it is unblocked, although none were agreed', async () => {
  const client = await openClient();
  client.broker.alarms.raise('low on memory');
  client.timers.advance(BLOCKED_PROBE_MS * 3);
  assert.deepEqual(await client.names(), [], 'who does not publish is not blocked');
  client.publish(1, 'a');
  assert.deepEqual(await client.names(), ['0 connection.blocked']);
  client.timers.advance(BLOCKED_PROBE_MS * 3);
  const heartbeats = await client.look();
  assert.deepEqual(
    heartbeats,
    [1, 2, 3].map(() => ({ channel: 0, heartbeat: true })),
  );
  client.broker.alarms.raise(null);
  assert.deepEqual(await client.names(), ['0 connection.unblocked']);
  client.timers.advance(BLOCKED_PROBE_MS * 3);
  assert.deepEqual(await client.names(), []);
});
