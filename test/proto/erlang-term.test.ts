/**
 * Texts in refusals look as RabbitMQ's do, which prints Erlang terms and cuts
 * them. Method: tables of bytes and what Erlang's shell shows for them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatBytesPretty, truncateUtf8 } from '../../proto/amqp091/erlang-term.ts';
import { ReplyCode, replyText } from '../../proto/amqp091/errors.ts';

test('bytes are shown as Erlang shows them', () => {
  const rows: readonly (readonly [number[], plain: string, pretty: string])[] = [
    [[], '<<>>', '<<>>'],
    [[97, 98, 99], '<<97,98,99>>', '<<"abc">>'],
    [[97, 34, 98, 92, 10], '<<97,34,98,92,10>>', '<<"a\\"b\\\\\\n">>'],
    [[8, 9, 11, 12, 13, 27], '<<8,9,11,12,13,27>>', '<<"\\b\\t\\v\\f\\r\\e">>'],
    [[0, 10], '<<0,10>>', '<<0,10>>'],
    [[97, 0], '<<97,0>>', '<<97,0>>'],
    [[127], '<<127>>', '<<127>>'],
    [[128], '<<128>>', '<<128>>'],
    [[233, 97], '<<233,97>>', '<<"\u00e9a">>'],
  ];
  for (const [bytes, plain, pretty] of rows) {
    const slab = Buffer.from([1, ...bytes, 1]);
    assert.equal(formatBytes(slab, 1, slab.length - 1), plain);
    assert.equal(formatBytesPretty(slab, 1, slab.length - 1), pretty);
  }
});

test('a text is cut between characters, never within one', () => {
  assert.equal(truncateUtf8('abc', 3), 'abc');
  assert.equal(truncateUtf8('abcd', 3), 'abc');
  assert.equal(truncateUtf8('ab\u00e9', 3), 'ab');
  assert.equal(truncateUtf8('a\u{1f407}b', 5), 'a\u{1f407}');
  assert.equal(truncateUtf8('a\u{1f407}b', 4), 'a');
  assert.equal(truncateUtf8('\u{1f407}', 0), '');
});

test('a reply text names its code, also without a reason', () => {
  assert.equal(replyText(ReplyCode.notFound, "no queue 'q'"), "NOT_FOUND - no queue 'q'");
  assert.equal(replyText(ReplyCode.internalError, ''), 'INTERNAL_ERROR');
});
