/**
 * The headers exchange: a table of rules with their reasons, the refused arguments, and
 * a property against counting hits.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { headersPattern, headersType, isMatch } from '../../../node/broker/exchange/headers.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { message } from '../support/messages.ts';
import { RoutingTable } from '../support/routing.ts';

const text = (v: string): FieldValue => ({ t: 'S', v });
const int = (v: number): FieldValue => ({ t: 'I', v });
const VOID: FieldValue = { t: 'V' };

test('behaviour 95: headers match by value, void asks for presence, x- counts only when asked to', () => {
  const cases: readonly (readonly [why: string, binding: FieldTable, headers: FieldTable, isMatch: boolean])[] = [
    [
      'both are there',
      [
        ['a', int(1)],
        ['b', int(2)],
      ],
      [
        ['b', int(2)],
        ['a', int(1)],
        ['c', int(3)],
      ],
      true,
    ],
    [
      'one is missing, all by default',
      [
        ['a', int(1)],
        ['b', int(2)],
      ],
      [['a', int(1)]],
      false,
    ],
    [
      'one of two is enough',
      [
        ['x-match', text('any')],
        ['a', int(1)],
        ['b', int(2)],
      ],
      [['a', int(1)]],
      true,
    ],
    [
      'none of two',
      [
        ['x-match', text('any')],
        ['a', int(1)],
      ],
      [['a', int(2)]],
      false,
    ],
    ['a number is no text', [['a', int(1)]], [['a', text('1')]], false],
    ['an int is a long', [['a', int(1)]], [['a', { t: 'l', v: 1 }]], true],
    ['an int is a whole float', [['a', int(1)]], [['a', { t: 'd', v: 1 }]], true],
    ['a float that is not whole', [['a', int(1)]], [['a', { t: 'd', v: 1.5 }]], false],
    ['a large long by its digits', [['a', { t: 'l', v: '9007199254740993' }]], [['a', { t: 'd', v: 2 ** 53 }]], false],
    ['a large float and a long', [['a', { t: 'l', v: '9223372036854775807' }]], [['a', { t: 'd', v: 2 ** 63 }]], false],
    [
      'a large timestamp and a float',
      [['a', { t: 'T', v: '9223372036854775808' }]],
      [['a', { t: 'd', v: 2 ** 63 }]],
      true,
    ],
    ['bytes are a text', [['a', { t: 'x', v: '\xc3\xa4' }]], [['a', text('ä')]], true],
    ['in an array types count', [['a', { t: 'A', v: [int(1)] }]], [['a', { t: 'A', v: [{ t: 'l', v: 1 }] }]], false],
    ['void: present with any value', [['a', VOID]], [['a', text('x')]], true],
    ['void: absent', [['a', VOID]], [['b', text('x')]], false],
    [
      'x- is not compared',
      [
        ['a', int(1)],
        ['x-b', int(2)],
      ],
      [['a', int(1)]],
      true,
    ],
    [
      'all-with-x compares it',
      [
        ['x-match', text('all-with-x')],
        ['x-b', int(2)],
      ],
      [['x-b', int(3)]],
      false,
    ],
    [
      'all-with-x finds it',
      [
        ['x-match', text('all-with-x')],
        ['x-b', int(2)],
      ],
      [['x-b', int(2)]],
      true,
    ],
    [
      'any with only x-',
      [
        ['x-match', text('any')],
        ['x-b', int(2)],
      ],
      [['x-b', int(2)]],
      false,
    ],
    [
      'any-with-x finds it',
      [
        ['x-match', text('any-with-x')],
        ['x-b', int(2)],
      ],
      [['x-b', int(2)]],
      true,
    ],
    ['an empty binding', [], [['a', int(1)]], true],
    ['an empty binding, no headers', [], [], true],
    ['any of nothing', [['x-match', text('any')]], [['a', int(1)]], false],
    ['nested values', [['a', { t: 'A', v: [int(1), text('b')] }]], [['a', { t: 'A', v: [int(1), text('b')] }]], true],
    ['nested types', [['a', { t: 'F', v: [['k', int(1)]] }]], [['a', { t: 'F', v: [['k', { t: 'b', v: 1 }]] }]], false],
    ['a name of every object', [['__proto__', int(1)]], [], false],
  ];
  for (const [why, binding, headers, expected] of cases) {
    const table = new RoutingTable();
    table.exchange('h', 'headers');
    table.queue('q');
    table.bind('h', 'q', 'ignored', binding);
    assert.deepEqual(table.route('h', 'any key', message('h', 'any key', { headers })), expected ? ['q'] : [], why);
  }
});

test('behaviour 95: a message without headers meets only bindings that ask for none', () => {
  const table = new RoutingTable();
  table.exchange('h', 'headers');
  table.queue('all');
  table.queue('some');
  table.bind('h', 'all');
  table.bind('h', 'some', '', [['a', int(1)]]);
  assert.deepEqual(table.route('h', '', message('h', '')), ['all']);
});

test('behaviour 96: an x-match that is none of the four, or no text, is refused in RabbitMQ words', () => {
  const refused = (table: FieldTable) => () => headersType.checkBinding(table);
  assert.throws(refused([['x-match', text('some')]]), {
    kind: 'precondition-failed',
    message: 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
  });
  assert.throws(refused([['x-match', int(5)]]), {
    kind: 'precondition-failed',
    message: 'Invalid x-match field type signedint (value 5); expected longstr',
  });
  for (const mode of ['all', 'any', 'all-with-x', 'any-with-x']) headersType.checkBinding([['x-match', text(mode)]]);
});

const headerOf: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.integer({ min: 0, max: 2 }).map(int),
  fc.constantFrom('0', '1').map(text),
  fc.constant(VOID),
);
const tableOf = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'x-a', 'x-b'), headerOf), {
  selector: ([name]) => name,
});

test('a headers pattern agrees with counting hits one by one', () => {
  const modes = ['all', 'any', 'all-with-x', 'any-with-x'] as const;
  const property = fc.property(fc.constantFrom(...modes), tableOf, tableOf, (mode, wanted, headers) => {
    const counted = wanted.filter(([name]) => mode.endsWith('x') || !name.startsWith('x-'));
    const hits = counted.filter(([name, value]) =>
      headers.some(([n, v]) => n === name && (value.t === 'V' || JSON.stringify(v) === JSON.stringify(value))),
    );
    const expected = mode.startsWith('all') ? hits.length === counted.length : hits.length > 0;
    const pattern = headersPattern([['x-match', text(mode)], ...wanted]);
    assert.equal(isMatch(pattern, new Map(headers)), expected);
  });
  fc.assert(property);
});
