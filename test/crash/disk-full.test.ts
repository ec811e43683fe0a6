/**
 * Goal: a full disk loses nothing that was confirmed, and ends when space returns.
 *
 * Method: the data directory is on a small tmpfs, half of it taken by a ballast
 * file. Persistent messages are published until the broker says it is blocked;
 * then the ballast goes, the broker unblocks and takes the rest; after a kill all
 * confirmed messages are there in order. Once with a limit that is reached before
 * the disk is full, once without, so that writes fail. The same again with a disk
 * on which nothing else makes room: consuming or purging what is there must.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RESERVE_BYTES } from '../../storage/space-watch.ts';
import type { RawChannel } from '../support/raw-client/channel.ts';
import { connect } from '../support/raw-client/connect.ts';
import { crashable } from './crashable.ts';

const DISK_MIB = 320;
const BALLAST_MIB = 120;
const BODY = Buffer.alloc(64 * 1024, 'b');
const WINDOW = 16;
const BLOCKED_WITHIN_MS = 60_000;
/** Deleting, a look at what that freed, giving it back, a look at the disk: seconds. */
const UNBLOCKED_WITHIN_MS = 15_000;
const SILENCE_MS = 500;
const RESERVE_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 20;

const whyNot = reasonNotToMount();

for (const { name, limit } of [
  { name: 'an alarm before the disk is full', limit: '30MB' },
  { name: 'writes that fail', limit: '1' },
]) {
  test(`full disk, ${name}: blocked, nothing confirmed is lost, goes on when there is space`, {
    skip: whyNot,
  }, async (t) => {
    const disk = mountDisk(t, DISK_MIB, BALLAST_MIB);
    const broker = crashable({ dataDir: join(disk, 'data'), settings: { 'disk_free_limit.absolute': limit } });
    t.after(() => broker.remove());
    await broker.start();
    const connection = await connect(broker.address);
    const channel = await connection.openChannel();
    await channel.declareQueue({ queue: 'full', durable: true });
    await channel.call('confirm.select');
    const writer = new Writer(channel);

    const blocked = connection.expect(0, 'connection.blocked', BLOCKED_WITHIN_MS);
    await writer.publishUntil(blocked);
    assert.match((await blocked).text('reason'), /disk/);
    const reader = await (await connect(broker.address)).openChannel();
    assert.equal(numberOf((await reader.mustGet('full')).content.body), 1, 'reading goes on');
    await reader.connection.close();

    rmSync(join(disk, 'ballast'));
    await connection.expect(0, 'connection.unblocked', BLOCKED_WITHIN_MS);
    await writer.finish();
    await broker.kill();
    await broker.start();
    const later = await (await connect(broker.address)).openChannel();
    const found: number[] = [];
    for (let message = await later.get('full'); message !== null; message = await later.get('full')) {
      assert.equal(message.content.body.length, BODY.length);
      found.push(numberOf(message.content.body));
    }
    assert.deepEqual(
      found,
      Array.from({ length: writer.published }, (_, index) => index + 1),
    );
  });
}

for (const { name, diskMib, settings, isPurged } of [
  { name: 'the default limit, consumed', diskMib: 400, settings: {}, isPurged: false },
  { name: 'the default limit, purged', diskMib: 400, settings: {}, isPurged: true },
  { name: 'writes that fail, consumed', diskMib: 200, settings: { 'disk_free_limit.absolute': '1' }, isPurged: false },
]) {
  test(`full disk, ${name}: what is gone makes room, and publishers go on within seconds`, {
    skip: whyNot,
  }, async (t) => {
    const disk = mountDisk(t, diskMib, 0);
    const broker = crashable({ dataDir: join(disk, 'data'), settings });
    t.after(() => broker.remove());
    await broker.start();
    await reserveMade(join(disk, 'data', 'reserve'));
    const connection = await connect(broker.address);
    const channel = await connection.openChannel();
    await channel.declareQueue({ queue: 'full', durable: true });
    await channel.call('confirm.select');
    const writer = new Writer(channel);
    for (let round = 0; round < 2; round++) {
      const blocked = connection.expect(0, 'connection.blocked', BLOCKED_WITHIN_MS);
      await writer.publishUntil(blocked);
      assert.match((await blocked).text('reason'), /disk/);
      const unblocked = connection.expect(0, 'connection.unblocked', BLOCKED_WITHIN_MS + UNBLOCKED_WITHIN_MS);
      const emptier = await (await connect(broker.address)).openChannel();
      if (isPurged) await emptier.call('queue.purge', { queue: 'full' });
      else await consumeAll(emptier, 'full', writer);
      await emptier.connection.close();
      const emptiedAt = performance.now();
      await unblocked;
      const tookMs = performance.now() - emptiedAt;
      assert.ok(tookMs < UNBLOCKED_WITHIN_MS, `${tookMs} ms`);
      await writer.finish();
    }
  });
}

/** A node writes it in its second second: who fills the disk before has nothing to give away. */
async function reserveMade(file: string): Promise<void> {
  const until = performance.now() + RESERVE_WITHIN_MS;
  while (performance.now() < until) {
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) === RESERVE_BYTES) return;
    await delay(LOOK_EVERY_MS);
  }
  throw new Error(`${file}: not ${RESERVE_BYTES} bytes within ${RESERVE_WITHIN_MS} ms`);
}

/** In order, and none of what was confirmed is missing; what follows was published and not confirmed yet. */
async function consumeAll(channel: RawChannel, queue: string, writer: Writer): Promise<void> {
  const confirmed = writer.confirmed;
  for (let message = await channel.get(queue); message !== null; message = await channel.get(queue)) {
    assert.equal(numberOf(message.content.body), ++writer.consumed);
    channel.ack(message.deliveryTag);
  }
  assert.ok(writer.consumed >= confirmed, `${confirmed} are confirmed, ${writer.consumed} were there`);
}

/** Publishes numbered messages, at most WINDOW unconfirmed, and knows how many are confirmed. */
class Writer {
  published = 0;
  confirmed = 0;
  consumed = 0;
  private readonly channel: RawChannel;
  /** The one wait for acks: a second one beside it would miss those that this one takes. */
  private reading: Promise<void> | null = null;

  constructor(channel: RawChannel) {
    this.channel = channel;
  }

  async publishUntil(event: Promise<unknown>): Promise<void> {
    let hasHappened = false;
    const happened = event.then(() => {
      hasHappened = true;
    });
    while (!hasHappened) {
      while (this.published - this.confirmed < WINDOW) this.publish();
      // No confirm comes while the disk is full, and who is silent is not told why: so one more after a while.
      this.reading ??= this.readConfirm();
      const silence = new AbortController();
      const isSilent = await Promise.race([
        happened.then(() => false),
        this.reading.then(() => false),
        delay(SILENCE_MS, true, { signal: silence.signal }).catch(() => true),
      ]);
      silence.abort();
      if (isSilent) this.publish();
    }
  }

  /** Everything that was sent is taken in the end. */
  async finish(): Promise<void> {
    await this.reading;
    await this.channel.expectAcks(this.published);
    this.confirmed = this.published;
  }

  private publish(): void {
    this.published += 1;
    const body = Buffer.from(BODY);
    body.writeUInt32BE(this.published);
    this.channel.publish({ routingKey: 'full', properties: { deliveryMode: 2 }, body });
  }

  private async readConfirm(): Promise<void> {
    await this.channel.expectAcks(this.confirmed + 1);
    this.confirmed += 1;
    this.reading = null;
  }
}

function numberOf(body: Buffer): number {
  return body.readUInt32BE(0);
}

function mountDisk(scope: { after(cleanUp: () => void): void }, diskMib: number, ballastMib: number): string {
  const disk = mkdtempSync(join(tmpdir(), 'warren-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMib}m`, 'tmpfs', disk]);
  scope.after(() => {
    execFileSync('umount', ['-l', disk]);
    rmSync(disk, { recursive: true, force: true });
  });
  writeFileSync(join(disk, 'ballast'), Buffer.alloc(ballastMib * 1024 * 1024));
  return disk;
}

/** False when a tmpfs can be mounted here. */
function reasonNotToMount(): string | false {
  if (process.env['WARREN_ORACLE'] === '1') return 'the data directory of the original is not ours to choose';
  const disk = mkdtempSync(join(tmpdir(), 'warren-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' });
    execFileSync('umount', [disk], { stdio: 'ignore' });
    return false;
  } catch {
    return 'mounting a tmpfs is not permitted here';
  } finally {
    rmSync(disk, { recursive: true, force: true });
  }
}
