/**
 * The tables of x-death as the original writes them (tried on RabbitMQ 3.10), the cutting
 * of circles, and the bounds.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEATHS_MAX,
  type Death,
  isAutomaticCycle,
  withDeath as withDeathOrNull,
} from '../../../node/broker/dead-letter/death-headers.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';

const text = (v: string): FieldValue => ({ t: 'S', v });
const table = (v: FieldTable): FieldValue => ({ t: 'F', v });
const array = (...v: readonly FieldValue[]): FieldValue => ({ t: 'A', v });

const death = (options: Partial<Death> = {}): Death => ({
  queue: 'q',
  reason: 'expired',
  exchange: 'x',
  routingKey: 'k',
  timeSeconds: 1_700_000_000,
  expiration: null,
  ...options,
});

test('behaviour 131: the first death writes x-death and the x-first-death headers, the others stay', () => {
  assert.deepEqual(withDeath([['a', text('1')]], death({ expiration: '20' }), true), [
    ['a', text('1')],
    [
      'x-death',
      array(
        table([
          ['count', { t: 'l', v: 1 }],
          ['reason', text('expired')],
          ['queue', text('q')],
          ['time', { t: 'T', v: 1_700_000_000 }],
          ['exchange', text('x')],
          ['routing-keys', array(text('k'))],
          ['original-expiration', text('20')],
        ]),
      ),
    ],
    ['x-first-death-exchange', text('x')],
    ['x-first-death-queue', text('q')],
    ['x-first-death-reason', text('expired')],
  ]);
});

function withDeath(headers: FieldTable, next: Death, keepsCopies: boolean): FieldTable {
  const written = withDeathOrNull(headers, next, keepsCopies);
  assert.ok(written !== null);
  return written;
}

/** count, reason and queue of each death, newest first. */
function deathsOf(headers: FieldTable): readonly string[] {
  const deaths = new Map(headers).get('x-death');
  if (deaths?.t !== 'A') return [];
  return deaths.v.map((entry) => {
    const fields = new Map(entry.t === 'F' ? entry.v : []);
    return ['count', 'reason', 'queue'].map((name) => String((fields.get(name) as { v: unknown }).v)).join(' ');
  });
}

test('behaviour 132: the same queue and reason again raises the count and comes to the front', () => {
  let headers: FieldTable = [];
  const steps: readonly (readonly [Partial<Death>, readonly string[]])[] = [
    [{ queue: 'a', reason: 'rejected' }, ['1 rejected a']],
    [{ queue: 'b', reason: 'expired' }, ['1 expired b', '1 rejected a']],
    [{ queue: 'a', reason: 'rejected' }, ['2 rejected a', '1 expired b']],
    [{ queue: 'a', reason: 'maxlen' }, ['1 maxlen a', '2 rejected a', '1 expired b']],
    [{ queue: 'b', reason: 'delivery_limit' }, ['1 delivery_limit b', '1 maxlen a', '2 rejected a', '1 expired b']],
    [{ queue: 'b', reason: 'expired' }, ['2 expired b', '1 delivery_limit b', '1 maxlen a', '2 rejected a']],
  ];
  for (const [options, expected] of steps) {
    headers = withDeath(headers, death(options), true);
    assert.deepEqual(deathsOf(headers), expected);
  }
  assert.deepEqual(new Map(headers).get('x-first-death-queue'), text('a'));
  assert.deepEqual(new Map(headers).get('x-first-death-reason'), text('rejected'));
});

test('behaviour 133: routing-keys lists CC; a dead-letter routing key takes CC away', () => {
  const cc = array(text('b'), { t: 'I', v: 3 });
  const kept = new Map(withDeath([['CC', cc]], death(), true));
  assert.deepEqual(kept.get('CC'), cc);
  const entry = kept.get('x-death');
  assert.ok(entry?.t === 'A' && entry.v[0]?.t === 'F');
  assert.deepEqual(new Map(entry.v[0].v).get('routing-keys'), array(text('k'), text('b')));
  assert.equal(new Map(withDeath([['CC', cc]], death(), false)).get('CC'), undefined);
});

test('an x-death that a client made up is replaced', () => {
  assert.deepEqual(deathsOf(withDeath([['x-death', text('nonsense')]], death(), true)), ['1 expired q']);
});

test('behaviour 135: a circle of automatic deaths is cut, a rejection in it lets it go on', () => {
  const cases: readonly (readonly [why: string, deaths: readonly Partial<Death>[], target: string, isCut: boolean])[] =
    [
      ['never died there', [{ queue: 'a' }], 'b', false],
      ['died there of age', [{ queue: 'a' }], 'a', true],
      ['died there, then elsewhere', [{ queue: 'a' }, { queue: 'b', reason: 'maxlen' }], 'a', true],
      ['rejected there', [{ queue: 'a', reason: 'rejected' }], 'a', false],
      ['rejected since', [{ queue: 'a' }, { queue: 'b', reason: 'rejected' }], 'a', false],
      ['rejected before', [{ queue: 'b', reason: 'rejected' }, { queue: 'a' }], 'a', true],
      ['of its delivery limit', [{ queue: 'a', reason: 'delivery_limit' }], 'a', true],
    ];
  for (const [why, deaths, target, isCut] of cases) {
    let headers: FieldTable = [];
    for (const options of deaths) headers = withDeath(headers, death(options), true);
    assert.equal(isAutomaticCycle(target, headers), isCut, why);
  }
});

test('x-death is bounded: a rejection pushes out the oldest deaths, a death by itself finds no room', () => {
  let headers: FieldTable = [];
  for (let i = 0; i < DEATHS_MAX; i++) headers = withDeath(headers, death({ queue: `q${i}` }), true);
  assert.equal(deathsOf(headers).length, DEATHS_MAX);
  assert.equal(withDeathOrNull(headers, death({ queue: 'new' }), true), null);
  assert.notEqual(withDeathOrNull(headers, death({ queue: 'q7' }), true), null);
  const rejected = withDeath(headers, death({ queue: 'new', reason: 'rejected' }), true);
  assert.deepEqual(deathsOf(rejected).slice(0, 2), ['1 rejected new', `1 expired q${DEATHS_MAX - 1}`]);
  assert.ok(deathsOf(rejected).length <= DEATHS_MAX);
});

test('x-death is bounded in bytes too', () => {
  let headers: FieldTable = [];
  let count = 0;
  for (let i = 0; i < DEATHS_MAX; i++) {
    const next = withDeathOrNull(headers, death({ queue: `${i}`.padEnd(250, '-'), exchange: 'x'.repeat(250) }), true);
    if (next === null) break;
    headers = next;
    count++;
  }
  assert.ok(count > 50 && count < DEATHS_MAX, `${count} deaths of some 600 bytes fit into 64 KiB`);
});
