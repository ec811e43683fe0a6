/** Arguments of queues, consumers and bindings: whatever table a client sends, it is taken or refused with a text. */
import assert from 'node:assert/strict';
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import { headersPattern, headersType, isMatch } from '../../../node/broker/exchange/headers.ts';
import {
  checkQueueArguments,
  checkQueueEquivalent,
  effectiveSettings,
  queueArguments,
  queueTypeOf,
} from '../../../node/broker/queue/arguments.ts';
import { readConsumerArguments } from '../../../node/broker/queue/consumer-arguments.ts';
import { Refusal } from '../../../node/broker/refusal.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { decodeTable, encodeTable } from '../../../proto/amqp091/field-table-codec.ts';
import * as build from '../../cluster/builders.ts';
import type { Random } from '../core/random.ts';
import { isTaken, REFUSED, refusedOr, type Target } from '../core/target.ts';
import { EVERY_FIELD } from './samples.ts';

const NAMES = [
  ...queueArguments.map(({ name }) => name),
  ...[
    'x-priority',
    'x-cancel-on-ha-failover',
    'x-stream-offset',
    'x-match',
    'x-queue-type',
    'alternate-exchange',
    'key',
  ],
];
const VALUES: readonly FieldValue[] = [
  ...EVERY_FIELD.map(([, value]) => value),
  ...['classic', 'quorum', 'stream', 'lazy', 'all', 'any-with-x', 'reject-publish', 'at-least-once', ''].map(
    (v) => ({ t: 'S', v }) as const,
  ),
  ...[0, 1, -1, 255, 256, 2 ** 31].map((v) => ({ t: 'l', v }) as const),
  { t: 'd', v: 1e300 },
];
const PROPERTIES = { isDurable: true, isExclusive: false, isAutoDelete: false };

function generate(random: Random): Buffer {
  const table: FieldTable = Array.from(
    { length: random.below(5) },
    () => [random.pick(NAMES), random.pick(VALUES)] as const,
  );
  return encodeTable(table);
}

function isRefusal(error: unknown): boolean {
  return error instanceof Refusal && error.message.length > 0;
}

function settingsOf(table: FieldTable): QueueDefinition | null {
  return refusedOr(() => {
    const type = queueTypeOf('q', '/', table, 'classic');
    checkQueueArguments('q', '/', type, PROPERTIES, table);
    return build.queue({ type, arguments: table });
  }, isRefusal);
}

function check(input: Buffer): number {
  const table = decodeTable(input, 0, input.length);
  const definition = settingsOf(table);
  const other = build.queue({ arguments: EVERY_FIELD });
  isTaken(() => checkQueueEquivalent(other, PROPERTIES, table), isRefusal);
  for (const type of ['classic', 'quorum'] as const) {
    refusedOr(() => readConsumerArguments({ name: 'q', vhost: '/', type }, table), isRefusal);
  }
  checkHeaders(table);
  if (definition === null) return REFUSED;
  checkQueueEquivalent(definition, PROPERTIES, table);
  const settings = effectiveSettings(definition, { 'max-length': 7, overflow: 'reject-publish', expires: 'x' });
  for (const limit of [settings.maxLength, settings.maxBytes, settings.messageTtlMs, settings.maxPriority]) {
    assert.ok(
      limit === null || (Number.isFinite(limit) && limit >= 0),
      'a limit that was checked is a number from 0 on',
    );
  }
  assert.ok(settings.maxPriority <= 255, 'a priority fits its octet');
  return table.length;
}

function checkHeaders(table: FieldTable): void {
  if (!isTaken(() => headersType.checkBinding(table), isRefusal)) return;
  const pattern = headersPattern(table);
  const isAllThere = isMatch(pattern, new Map(table));
  if (pattern.isAll && new Set(table.map(([name]) => name)).size === table.length) {
    assert.ok(isAllThere, 'a message with all that a binding asks for matches');
  }
}

export const argumentTables: Target = {
  name: 'arguments',
  claim: 'whatever table comes with a declare, consume or bind is taken or refused with a text',
  casesInTests: 40_000,
  corpus: [],
  dictionary: [],
  bytesMax: 4000,
  generate,
  growth: { factor: 1, constant: 0 },
  check,
};
