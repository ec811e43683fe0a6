/**
 * Argument checks, equivalence of redeclares, and argument against policy: the
 * texts were taken from RabbitMQ 3.10.8.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkQueueArguments,
  checkQueueEquivalent,
  effectiveSettings,
  type QueueTypeName,
  queueArguments,
  queueTypeOf,
} from '../../../node/broker/queue/arguments.ts';
import { Refusal } from '../../../node/broker/refusal.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { definitionOf, tableOf } from '../../support/queues/test-bench.ts';

const DURABLE = { isDurable: true, isExclusive: false, isAutoDelete: false };
const WHERE = `queue 'Q' in vhost 'V'`;
const int = (v: number): FieldValue => ({ t: 'I', v });
const text = (v: string): FieldValue => ({ t: 'S', v });
const byte = (v: number): FieldValue => ({ t: 'b', v });

/** The text, or 'ok'. */
function check(type: QueueTypeName, table: FieldTable, properties = DURABLE): string {
  try {
    queueTypeOf('Q', 'V', table, type);
    checkQueueArguments('Q', 'V', type, properties, table);
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof Refusal);
    assert.equal(error.kind, 'precondition-failed');
    return error.message;
  }
}

const wrong = (name: string, term: string) => `invalid arg '${name}' for ${WHERE}: ${term}`;

test('behaviours 80 to 87 and 91: a wrong argument is refused in the exact words', () => {
  const cases: readonly (readonly [type: QueueTypeName, name: string, value: FieldValue, term: string])[] = [
    ['classic', 'x-message-ttl', int(-1), '{value_negative,-1}'],
    ['classic', 'x-message-ttl', text('5'), '"expected integer, got longstr"'],
    ['classic', 'x-message-ttl', { t: 'd', v: 1.5 }, '"expected integer, got double"'],
    ['classic', 'x-message-ttl', { t: 't', v: true }, '"expected integer, got bool"'],
    ['classic', 'x-expires', int(0), '{value_zero,0}'],
    ['classic', 'x-expires', int(-1), '{value_negative,-1}'],
    ['classic', 'x-max-length', int(-1), '{value_negative,-1}'],
    ['classic', 'x-max-length-bytes', int(-1), '{value_negative,-1}'],
    ['classic', 'x-max-priority', int(-1), '{value_negative,-1}'],
    ['classic', 'x-max-priority', int(256), '{max_value_exceeded,256}'],
    ['classic', 'x-overflow', text('foo'), 'invalid_overflow'],
    ['classic', 'x-overflow', int(5), '{unacceptable_type,signedint}'],
    ['classic', 'x-queue-mode', text('foo'), `"unsupported queue mode 'foo'"`],
    ['classic', 'x-queue-mode', byte(5), '{unacceptable_type,byte}'],
    ['classic', 'x-queue-type', text('foo'), `"unsupported queue type 'foo'"`],
    ['classic', 'x-queue-type', text('stream'), `"unsupported queue type 'stream'"`],
    ['classic', 'x-queue-type', byte(5), '{unacceptable_type,byte}'],
    ['classic', 'x-queue-version', int(3), `"unsupported queue version '3'"`],
    ['classic', 'x-single-active-consumer', text('a'), '{unacceptable_type,longstr}'],
    ['quorum', 'x-quorum-initial-group-size', int(0), '{value_zero,0}'],
    ['quorum', 'x-dead-letter-strategy', text('foo'), 'invalid_dlx_strategy'],
    ['quorum', 'x-queue-leader-locator', text('foo'), 'invalid_queue_locator_arg'],
    ['quorum', 'x-consumer-timeout', int(-5), '{value_negative,-5}'],
  ];
  for (const [type, name, value, term] of cases) assert.equal(check(type, [[name, value]]), wrong(name, term));
});

test('behaviour 86: dead-letter arguments of a wrong type, and a routing key without exchange', () => {
  assert.equal(
    check('classic', [['x-dead-letter-exchange', int(5)]]),
    `invalid type 'signedint' for arg 'x-dead-letter-exchange' in ${WHERE}`,
  );
  const key = 'x-dead-letter-routing-key';
  assert.equal(check('classic', [[key, int(5)]]), wrong(key, '{unacceptable_type,signedint}'));
  assert.equal(check('classic', [[key, text('k')]]), wrong(key, 'routing_key_but_no_dlx_defined'));
  assert.equal(
    check('classic', [
      [key, text('k')],
      ['x-dead-letter-exchange', text('')],
    ]),
    'ok',
  );
});

test('behaviour 88: an argument of another queue type is refused by name of the type', () => {
  const cases: readonly (readonly [type: QueueTypeName, name: string, value: FieldValue])[] = [
    ['classic', 'x-delivery-limit', int(5)],
    ['classic', 'x-quorum-initial-group-size', int(1)],
    ['classic', 'x-dead-letter-strategy', text('foo')],
    ['classic', 'x-queue-leader-locator', text('client-local')],
    ['classic', 'x-max-in-memory-length', int(1)],
    ['classic', 'x-max-age', text('1D')],
    ['quorum', 'x-max-priority', int(-1)],
    ['quorum', 'x-queue-mode', text('lazy')],
    ['quorum', 'x-queue-master-locator', text('random')],
  ];
  for (const [type, name, value] of cases) {
    const expected = `invalid arg '${name}' for ${WHERE} of queue type rabbit_${type}_queue`;
    assert.equal(check(type, [[name, value]]), expected);
  }
  const both = tableOf({ 'x-max-priority': 5, 'x-expires': 0 });
  assert.equal(check('quorum', both), wrong('x-expires', '{value_zero,0}'), 'a wrong value comes first');
});

test('behaviours 82, 84, 85, 89 and 91: what is accepted', () => {
  const classic: FieldTable[] = [
    [['x-message-ttl', { t: 'l', v: 2 ** 33 }]],
    tableOf({ 'x-max-priority': 0 }),
    tableOf({ 'x-max-priority': 255 }),
    tableOf({ 'x-overflow': 'reject-publish-dlx' }),
    tableOf({ 'x-queue-master-locator': 'random', 'x-queue-mode': 'lazy', 'x-queue-version': 2 }),
    tableOf({ 'nobody-knows': 'this', 'x-nor-this': 1 }),
  ];
  for (const table of classic) assert.equal(check('classic', table), 'ok');
  const quorum = tableOf({
    'x-message-ttl': 1,
    'x-expires': 1,
    'x-max-length': 0,
    'x-max-length-bytes': 0,
    'x-single-active-consumer': true,
    'x-delivery-limit': -1,
    'x-max-in-memory-length': 1,
    'x-nobody': 'knows',
  });
  assert.equal(check('quorum', quorum), 'ok');
  for (const overflow of ['drop-head', 'reject-publish', 'reject-publish-dlx']) {
    assert.equal(check('quorum', tableOf({ 'x-overflow': overflow })), 'ok');
  }
});

test('behaviour 90: a quorum queue is durable, shared and stays', () => {
  const cases = [
    [{ isDurable: false, isExclusive: false, isAutoDelete: false }, 'non-durable'],
    [{ isDurable: false, isExclusive: true, isAutoDelete: false }, 'exclusive-owner'],
    [{ isDurable: false, isExclusive: true, isAutoDelete: true }, 'auto-delete'],
  ] as const;
  for (const [properties, name] of cases) {
    assert.equal(check('quorum', [], properties), `invalid property '${name}' for ${WHERE}`);
  }
});

test('behaviours 68 and 71: a redeclare that differs is refused with both values', () => {
  const declared = (table: FieldTable) => definitionOf({ name: 'Q', vhost: 'V', arguments: table }, {});
  const compare = (current: FieldTable, received: FieldTable, properties = DURABLE): string => {
    try {
      checkQueueEquivalent(declared(current), properties, received);
      return 'ok';
    } catch (error) {
      assert.ok(error instanceof Refusal);
      return error.message;
    }
  };
  const ttl = 'x-message-ttl';
  const prefix = (name: string) => `inequivalent arg '${name}' for ${WHERE}: `;
  assert.equal(
    compare([], [[ttl, byte(5)]]),
    `${prefix(ttl)}received the value '5' of type 'byte' but current is none`,
  );
  assert.equal(compare([[ttl, byte(5)]], [[ttl, byte(6)]]), `${prefix(ttl)}received '6' but current is '5'`);
  assert.equal(
    compare([[ttl, byte(5)]], []),
    `${prefix(ttl)}received none but current is the value '5' of type 'byte'`,
  );
  assert.equal(compare([[ttl, byte(5)]], [[ttl, { t: 'l', v: 5 }]]), 'ok', 'width does not matter');
  assert.equal(compare([], [['x-unknown', byte(5)]]), 'ok', 'unknown ones are not compared');
  assert.equal(
    compare([], [['x-queue-type', text('quorum')]]),
    `${prefix('x-queue-type')}received the value 'quorum' of type 'longstr' but current is none`,
  );
  const transient = { ...DURABLE, isDurable: false };
  assert.equal(compare([], [], transient), `${prefix('durable')}received 'false' but current is 'true'`);
  const auto = { ...DURABLE, isAutoDelete: true };
  assert.equal(compare([], [], auto), `${prefix('auto_delete')}received 'true' but current is 'false'`);
});

test('behaviour 151: of two numbers the lower counts, of two words the argument', () => {
  const own = { 'x-max-length': 10, 'x-message-ttl': 5, 'x-overflow': 'reject-publish', 'x-dead-letter-exchange': 'a' };
  const policy = { 'max-length': 5, 'message-ttl': 10, overflow: 'drop-head', 'dead-letter-exchange': 'b', expires: 7 };
  const settings = effectiveSettings(definitionOf({}, own), policy);
  const { maxLength, messageTtlMs, overflow, deadLetterExchange, expiresMs } = settings;
  assert.deepEqual(
    [maxLength, messageTtlMs, overflow, deadLetterExchange, expiresMs],
    [5, 5, 'reject-publish', 'a', 7],
  );
  const nothing = effectiveSettings(definitionOf({}, {}), { 'max-length': 'many', unknown: 1 });
  assert.deepEqual([nothing.maxLength, nothing.overflow, nothing.maxPriority], [null, 'drop-head', 0]);
});

test('every argument is declared once', () => {
  const names = queueArguments.map((rule) => rule.name);
  assert.equal(new Set(names).size, names.length);
  const keys = queueArguments.flatMap((rule) => (rule.policyKey === null ? [] : [rule.policyKey]));
  assert.equal(new Set(keys).size, keys.length);
});
