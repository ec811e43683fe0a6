/**
 * What a dead message's headers say about its deaths (behaviours 131 to 135):
 *
 *   x-death: [ {count, reason, queue, time, exchange, routing-keys[, original-expiration]}, ... ]   newest first
 *   x-first-death-reason, -queue, -exchange: set once
 *
 * The same queue and reason again raises that entry's count and moves it to the
 * front. Pure functions on field tables. Source: rabbit_dead_letter of RabbitMQ 3.10.
 */
import { type FieldTable, type FieldValue, findField } from '../../../proto/amqp091/field-table.ts';
import { encodeTable, TABLE_VALUES_MAX } from '../../../proto/amqp091/field-table-codec.ts';
import type { DeathReason } from '../queue/context.ts';

export interface Death {
  readonly queue: string;
  readonly reason: DeathReason;
  /** Where the message had been published to. */
  readonly exchange: string;
  /** Its routing key. */
  readonly routingKey: string;
  readonly timeSeconds: number;
  /** Property `expiration` as it was sent; null without one. */
  readonly expiration: string | null;
}

/** Entries of x-death: different queues and reasons that one message has died in and of. */
export const DEATHS_MAX = 256;
/** x-death as bytes. A header cannot be cut into frames, and clients take 128 KiB at a time. */
export const DEATH_BYTES_MAX = 64 * 1024;
/** Copies listed in one death. */
export const COPIES_LISTED_MAX = 64;

/**
 * The headers of the dead-lettered copy. Where x-death has no room for one more, the oldest deaths make place when the
 * message was rejected; when it died by itself it goes nowhere: without its whole history nobody would see it going
 * round in a circle.
 *
 * @param keepsCopies false removes CC: a dead-letter routing key takes the place of all keys
 * @returns null when there is no room
 */
export function withDeath(headers: FieldTable, death: Death, keepsCopies: boolean): FieldTable | null {
  const former = findField(headers, 'x-death');
  const isFirst = former === null;
  const deaths = deathsWith(former !== null && former.t === 'A' ? former.v : [], death, headers);
  if (deaths === null) return null;
  const result: [string, FieldValue][] = [];
  for (const [name, value] of headers) {
    if (name === 'x-death' || (name === 'CC' && !keepsCopies)) continue;
    if (isFirst && FIRST_DEATH_HEADERS.includes(name)) continue;
    result.push([name, value]);
  }
  result.push(['x-death', { t: 'A', v: deaths }]);
  if (isFirst) {
    result.push(['x-first-death-exchange', text(death.exchange)]);
    result.push(['x-first-death-queue', text(death.queue)]);
    result.push(['x-first-death-reason', text(death.reason)]);
  }
  return valuesIn(result) > TABLE_VALUES_MAX ? null : result;
}

function deathsWith(former: readonly FieldValue[], death: Death, headers: FieldTable): readonly FieldValue[] | null {
  const isSame = (entry: FieldValue): boolean =>
    entry.t === 'F' && textOf(entry.v, 'queue') === death.queue && textOf(entry.v, 'reason') === death.reason;
  const again = former.find(isSame);
  const newest = again !== undefined && again.t === 'F' ? countedAgain(again.v) : firstEntry(death, headers);
  const deaths: FieldValue[] = [{ t: 'F', v: newest }, ...former.filter((entry) => !isSame(entry))];
  while (deaths.length > 1 && !hasRoom(deaths)) {
    if (death.reason !== 'rejected') return null;
    deaths.length = Math.min(DEATHS_MAX, Math.ceil(deaths.length / 2));
  }
  return deaths;
}

function hasRoom(deaths: readonly FieldValue[]): boolean {
  // Three are below the limit whatever stands in them.
  if (deaths.length <= 3) return true;
  return deaths.length <= DEATHS_MAX && encodeTable([['x-death', { t: 'A', v: deaths }]]).length <= DEATH_BYTES_MAX;
}

/** As the decoder counts them: what it would not take back must not be written. */
function valuesIn(table: FieldTable): number {
  return table.reduce((sum, [, value]) => sum + valuesOf(value), 0);
}

function valuesOf(value: FieldValue): number {
  if (value.t === 'A') return value.v.reduce((sum, item) => sum + valuesOf(item), 1);
  return value.t === 'F' ? valuesIn(value.v) + 1 : 1;
}

/**
 * True when `queue` has seen this message die already, and since then it died of age, length or delivery limit only:
 * nobody will stop it going round. A rejection in between is a client's wish and goes on.
 * @param headers those of the dead-lettered copy
 */
export function isAutomaticCycle(queue: string, headers: FieldTable): boolean {
  const deaths = findField(headers, 'x-death');
  if (deaths === null || deaths.t !== 'A') return false;
  for (const entry of deaths.v) {
    if (entry.t !== 'F') continue;
    if (textOf(entry.v, 'reason') === 'rejected') return false;
    if (textOf(entry.v, 'queue') === queue) return true;
  }
  return false;
}

const FIRST_DEATH_HEADERS: readonly string[] = [
  'x-first-death-exchange',
  'x-first-death-queue',
  'x-first-death-reason',
];

function firstEntry(death: Death, headers: FieldTable): FieldTable {
  const keys = [text(death.routingKey), ...visibleCopies(headers)];
  const entry: [string, FieldValue][] = [
    ['count', { t: 'l', v: 1 }],
    ['reason', text(death.reason)],
    ['queue', text(death.queue)],
    ['time', { t: 'T', v: death.timeSeconds }],
    ['exchange', text(death.exchange)],
    ['routing-keys', { t: 'A', v: keys }],
  ];
  if (death.expiration !== null) entry.push(['original-expiration', text(death.expiration)]);
  return entry;
}

/** CC is listed; BCC is no header any more. */
function visibleCopies(headers: FieldTable): readonly FieldValue[] {
  const copies = findField(headers, 'CC');
  if (copies === null || copies.t !== 'A') return [];
  return copies.v.filter((key) => key.t === 'S').slice(0, COPIES_LISTED_MAX);
}

function countedAgain(entry: FieldTable): FieldTable {
  const count = findField(entry, 'count');
  const before = count !== null && count.t === 'l' ? Number(count.v) : 1;
  return entry.map((field) => (field[0] === 'count' ? ['count', { t: 'l', v: before + 1 }] : field));
}

function textOf(table: FieldTable, name: string): string | null {
  const value = findField(table, name);
  return value !== null && value.t === 'S' ? value.v : null;
}

function text(value: string): FieldValue {
  return { t: 'S', v: value };
}
