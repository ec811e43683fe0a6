/** What a stop in good order leaves counts for the start that follows it, and for no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import type { QueueLog } from '../../storage/message-store.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import { DATABASE_OPTIONS, Events, Listener, queued, Space, settledDown, turnQueue } from './support.ts';

test('what was handed out before a stop in good order is known at the next start, by queue and lane', async () => {
  const disk = await diskWithMessages();
  const first = await openStore(disk, 2);
  const listeners = [listener(5), listener(1)];
  for (const [i, one] of listeners.entries()) first.open(i + 1, 1, one);
  await first.close();
  const second = await openStore(disk.crash(), 3);
  const open = (queueId: number) => second.open(queueId, 2, new Listener());
  assert.deepEqual(
    [handedOut(open(1)), handedOut(open(2))],
    [
      { 0: 5, 3: 5 },
      { 0: 1, 3: 1 },
    ],
  );
});

test('what is handed in with the last commit counts as well', async () => {
  const disk = await diskWithMessages();
  const first = await openStore(disk, 2);
  first.open(3, 1, listener(2)).append(queued(7));
  await first.close();
  const second = await openStore(disk.crash(), 3);
  assert.deepEqual(handedOut(second.open(3, 2, new Listener())), { 0: 2 });
});

test('a queue that was not opened in between stays as it was', async () => {
  const disk = await diskWithMessages();
  const first = await openStore(disk, 2);
  first.open(1, 1, listener(5));
  first.open(2, 1, listener(1));
  await first.close();
  const later = disk.crash();
  const second = await openStore(later, 3);
  second.open(1, 2, listener(6));
  await second.close();
  const third = await openStore(later.crash(), 4);
  const open = (queueId: number) => third.open(queueId, 3, new Listener());
  assert.deepEqual(
    [handedOut(open(1)), handedOut(open(2))],
    [
      { 0: 6, 3: 6 },
      { 0: 1, 3: 1 },
    ],
  );
});

for (const { name, incarnation, isCrashed } of [
  { name: 'a start that left nothing lies between', incarnation: 4, isCrashed: false },
  { name: 'the run ended in a crash', incarnation: 3, isCrashed: true },
]) {
  test(`everything may have been handed out when ${name}`, async () => {
    const disk = await diskWithMessages();
    const first = await openStore(disk, 2);
    const log = first.open(1, 1, listener(5));
    if (!isCrashed) await first.close();
    const second = await openStore(disk.crash(), incarnation);
    const { nextPosition } = log.recovered;
    assert.deepEqual(handedOut(second.open(1, 2, new Listener())), { 0: nextPosition, 3: nextPosition });
  });
}

test('a damaged record of the last stop is named, and counts as none when the loss is accepted', async () => {
  const disk = await diskWithMessages();
  const first = await openStore(disk, 2);
  const log = first.open(1, 1, listener(5));
  await first.close();
  const damaged = disk.crash();
  for (let i = 0; i < damaged.size; i++) if (damaged.keyAt(i).equals(Buffer.from([0x69, 2]))) damaged.flip(i, 8);
  await assert.rejects(openStore(damaged, 3), /its record of the last stop is damaged/);
  const accepting = await openStore(damaged, 3, true);
  const handed = handedOut(accepting.open(1, 2, new Listener()));
  assert.ok(Object.values(handed).every((below) => below >= log.recovered.nextPosition));
});

/** Queues 1 and 2 with messages 0 to 9, even ones in lane 0 and odd ones in lane 3; the run that wrote them crashed. */
async function diskWithMessages(): Promise<SimDatabase> {
  const disk = new SimDatabase((run) => {
    setImmediate(run);
  });
  const store = await openStore(disk, 1);
  for (const queueId of [1, 2]) {
    const told = new Listener();
    const log = store.open(queueId, 1, told);
    for (let position = 0; position < 10; position++)
      log.append(queued(position, { lane: position % 2 === 0 ? 0 : 3 }));
    await settledDown(log, told);
  }
  return disk.crash();
}

function openStore(disk: SimDatabase, incarnation: number, acceptDamage = false): Promise<LevelMessageStore> {
  const options = { ...DATABASE_OPTIONS, acceptDamage };
  return LevelMessageStore.open(disk, turnQueue(), new Events(), new Space(), options, incarnation);
}

function listener(handedOutBelow: number): Listener {
  const made = new Listener();
  made.handedOut = handedOutBelow;
  return made;
}

function handedOut(log: QueueLog): Record<number, number> {
  return Object.fromEntries(log.recovered.lanes.map((lane) => [lane.lane, lane.handedOutBelow]));
}
