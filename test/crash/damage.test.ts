/**
 * Goal: whoever finds data damaged is told what is damaged and what to do, and
 * that works: with `--accept-damage` the node starts, names every loss, and
 * serves the rest; where it can't, it says so and offers something else.
 *
 * Method: a node with two queues is stopped in good order, its files are damaged
 * as a bad disk or a hasty hand would, and it is started without the permission,
 * with it, and without it again.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LevelDatabase } from '../../storage/level-database.ts';
import { WarrenProcess } from '../support/broker/warren-process.ts';
import type { RawChannel } from '../support/raw-client/channel.ts';
import { connect } from '../support/raw-client/connect.ts';

const MESSAGES = 500;
const RESTORE = /nothing starts without it: put a backup of the whole directory in its place/;

const whyNot = process.env['WARREN_ORACLE'] === '1' ? 'the files of the original are not ours to damage' : false;
const folder = mkdtempSync(join(tmpdir(), 'warren-hurt-'));
const original = join(folder, 'original');
after(() => rmSync(folder, { recursive: true }));

before(async () => {
  if (whyNot !== false) return;
  const warren = await start(original, false);
  const channel = await channelOf(warren);
  for (const queue of ['orders', 'bills']) await channel.declareQueue({ queue, durable: true });
  await channel.bind('bills', 'amq.direct', 'bill');
  await channel.call('confirm.select');
  for (let i = 1; i <= MESSAGES; i++) {
    channel.publish({ routingKey: 'orders', properties: { deliveryMode: 2 }, body: Buffer.alloc(1000, `order ${i} `) });
    if (i % 50 === 0) await channel.expectAcks(i);
  }
  assert.equal(await warren.stop(), 0);
});

function start(dataDir: string, acceptDamage: boolean): Promise<WarrenProcess> {
  return WarrenProcess.start({ dataDir, isOwnBuild: true, settings: { 'warren.accept_damage': String(acceptDamage) } });
}

async function channelOf(warren: WarrenProcess): Promise<RawChannel> {
  return (await connect(warren.address)).openChannel();
}

function flip(path: string, kind: string, where: (bytes: Buffer) => number): void {
  for (const name of readdirSync(path).filter((name) => name.endsWith(kind))) {
    const bytes = readFileSync(join(path, name));
    const at = where(bytes);
    if (at < 0) continue;
    bytes[at]! ^= 0x10;
    writeFileSync(join(path, name), bytes);
    return;
  }
  throw new Error(`no ${kind} file in ${path} to damage`);
}

/** From the write-ahead log into tables, as more changes would have moved it. */
async function intoTables(path: string): Promise<void> {
  const database = await LevelDatabase.open(path, { writeBufferBytes: 4 * 1024 * 1024, createIfMissing: false });
  await new Promise<void>((resolve) => database.compact(Buffer.from([0]), Buffer.from([255]), () => resolve()));
  await new Promise<void>((resolve) => database.close(() => resolve()));
}

const CASES: readonly {
  readonly name: string;
  readonly damage: (data: string) => void | Promise<void>;
  /** Null: it is found when the queue is read. */
  readonly refused: RegExp | null;
  /** Null: it does not start with the permission either. */
  readonly accepted: readonly RegExp[] | null;
  /** How many are left; -1: some. */
  readonly orders: number;
  readonly hasBills: boolean;
}[] = [
  {
    name: 'a flipped byte in a message',
    damage: async (data) => {
      await intoTables(join(data, 'messages'));
      flip(join(data, 'messages'), '.ldb', (bytes) => bytes.indexOf('order 120 '));
    },
    refused: null,
    accepted: [
      /damage accepted: queue \d+: \d+ of 500 messages are lost \(positions \d+ to \d+; damaged records 6d[0-9a-f]+\) \(queue 'orders' in vhost '\/'\)/,
    ],
    orders: -1,
    hasBills: true,
  },
  {
    name: 'a flipped byte in the write-ahead log',
    damage: (data) => flip(join(data, 'messages'), '.log', (bytes) => bytes.indexOf('order 120 ')),
    refused: /were synced and are gone; --accept-damage starts without what is lost/,
    accepted: [
      /damage accepted: .*were synced and are gone/,
      /damage accepted: queue \d+: \d+ of 500 messages are lost .*'orders'/,
    ],
    orders: -1,
    hasBills: true,
  },
  {
    name: 'disk-id, incarnation and version are gone',
    damage: (data) => {
      for (const name of ['disk-id', 'incarnation', 'version']) rmSync(join(data, name));
    },
    refused:
      /holds raft, messages, node-name.* but no disk-id, incarnation, version; --accept-damage starts without what/,
    accepted: [/the databases say [0-9a-f]{32}/, /starts are counted from \d{10} on/],
    orders: MESSAGES,
    hasBills: true,
  },
  {
    name: 'messages/ is gone',
    damage: (data) => rmSync(join(data, 'messages'), { recursive: true }),
    refused: /but no messages: all messages are gone; --accept-damage starts without what is lost/,
    accepted: [/damage accepted: .*all messages are gone/],
    orders: 0,
    hasBills: true,
  },
  {
    name: 'a table of messages is gone',
    damage: async (data) => {
      await intoTables(join(data, 'messages'));
      for (const name of readdirSync(join(data, 'messages'))) {
        if (name.endsWith('.ldb')) rmSync(join(data, 'messages', name));
      }
    },
    refused: /table \d+ of .*messages is gone.*; --accept-damage starts without what is lost/,
    accepted: [/damage accepted: table \d+ of .*messages is gone/],
    orders: 0,
    hasBills: true,
  },
  {
    name: 'a flipped byte in the row of a queue',
    damage: async (data) => {
      await intoTables(join(data, 'raft'));
      flip(join(data, 'raft'), '.ldb', (bytes) => bytes.lastIndexOf('"name":"bills"'));
    },
    refused: /raft\/\d+\.ldb is damaged: .*; --accept-damage starts without what is lost, if the rest is enough/,
    accepted: [
      /the row \[.*bills.*\] of queues has a wrong checksum/,
      /the row .*of bindings goes too: its queue 'bills' in vhost '\/' is lost/,
    ],
    orders: MESSAGES,
    hasBills: false,
  },
  {
    name: 'raft/ is gone',
    damage: (data) => rmSync(join(data, 'raft'), { recursive: true }),
    refused: RESTORE,
    accepted: null,
    orders: 0,
    hasBills: false,
  },
];

for (const { name, damage, refused, accepted, orders, hasBills } of CASES) {
  test(`${name}: ${accepted === null ? 'refused' : 'told, accepted, and forgotten'}`, { skip: whyNot }, async () => {
    const data = mkdtempSync(join(folder, 'data-'));
    cpSync(original, data, { recursive: true });
    await damage(data);
    if (refused !== null) await assert.rejects(start(data, false), refused);
    if (accepted === null) {
      await assert.rejects(start(data, true), RESTORE);
      return;
    }
    const warren = await start(data, true);
    for (const text of accepted) assert.match(warren.output, text);
    assert.equal(await warren.stop(), 0);
    const later = await start(data, false);
    assert.doesNotMatch(later.output, /damage/);
    const channel = await channelOf(later);
    const { messages } = await channel.inspect('orders');
    assert.ok(orders < 0 ? messages > 300 && messages < MESSAGES : messages === orders, `${messages} are left`);
    assert.equal((await channel.drain('orders')).length, messages);
    if (hasBills) await channel.inspect('bills');
    else await assert.rejects(channel.inspect('bills'), /404|NOT_FOUND/);
    assert.equal(await later.stop(), 0);
  });
}
