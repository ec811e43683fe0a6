/**
 * What the door lets in, what it refuses in which words, and what it rewrites, on
 * properties encoded from words.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageDoor } from '../../node/broker/message-door.ts';
import { Refusal } from '../../node/broker/refusal.ts';
import type { FieldValue } from '../../proto/amqp091/field-table.ts';
import { decodeProperties, type Properties } from '../../proto/amqp091/properties.ts';
import { Address } from '../../proto/entry/address.ts';
import type { Message } from '../../proto/entry/message.ts';
import { admit, type MessageOptions, message } from './support/messages.ts';

const address = new Address('x', 'k');
const text = (v: string): FieldValue => ({ t: 'S', v });
const keys = (...v: readonly string[]): FieldValue => ({ t: 'A', v: v.map(text) });
const propertiesOf = (m: Message): Properties => decodeProperties(m.bytes, m.propertiesStart, m.propertiesEnd);

function refusalOf(options: MessageOptions): readonly [string, string] | null {
  const admitted = admit(address, options);
  return admitted instanceof Refusal ? [admitted.kind, admitted.message] : null;
}

test('what the broker acts on is read from the properties, the rest stays as it came', () => {
  const admitted = message('x', 'k', {
    deliveryMode: 2,
    priority: 7,
    expiration: '1500',
    headers: [['a', text('b')]],
    contentType: 'text/plain',
    correlationId: 'c',
    body: 'the body',
  });
  assert.deepEqual(
    [admitted.isPersistent, admitted.priority, admitted.expirationMs, admitted.extraRoutingKeys],
    [true, 7, 1500, []],
  );
  assert.equal(admitted.body().toString(), 'the body');
  assert.equal(propertiesOf(admitted).contentType, 'text/plain');
});

test('a message without properties is transient, without priority, and does not expire', () => {
  const { isPersistent, priority, expirationMs } = message('x', 'k');
  assert.deepEqual([isPersistent, priority, expirationMs], [false, -1, -1]);
  assert.equal(message('x', 'k', { deliveryMode: 1 }).isPersistent, false);
});

test('nothing is copied while nothing has to be changed', () => {
  const door = new MessageDoor('guest', []);
  const bytes = Buffer.from([0x10, 0x00, 2, 0x61, 0x62]);
  const admitted = door.admit(address, bytes, 0, 3, 3, 5, [], 2, false);
  assert.ok(!(admitted instanceof Refusal));
  assert.equal(admitted.bytes, bytes);
});

test('behaviour 102: an expiration that is no number of milliseconds is refused', () => {
  const cases = [
    ['abc', `invalid expiration 'abc': no_integer`],
    ['-1', `invalid expiration '-1': {value_negative,-1}`],
    ['99999999999999', `invalid expiration '99999999999999': {value_too_large,99999999999999}`],
  ] as const;
  for (const [expiration, reason] of cases)
    assert.deepEqual(refusalOf({ expiration }), ['precondition-failed', reason]);
  assert.equal(refusalOf({ expiration: '0' }), null);
});

test('behaviour 103: a user id has to be the own one, unless the user is an impersonator', () => {
  const reason = `user_id property set to 'other' but authenticated user was 'guest'`;
  assert.deepEqual(refusalOf({ userId: 'other' }), ['precondition-failed', reason]);
  assert.equal(refusalOf({ userId: 'guest' }), null);
  assert.equal(refusalOf({ userId: 'other', tags: ['monitoring', 'impersonator'] }), null);
});

test('behaviour 104: CC and BCC become routing keys; CC stays visible, BCC goes', () => {
  const admitted = message('x', 'k', {
    headers: [
      ['a', text('1')],
      ['BCC', keys('c')],
      ['CC', keys('a', 'b')],
    ],
    contentType: 'text/plain',
    body: 'the body',
  });
  assert.deepEqual(admitted.extraRoutingKeys, ['a', 'b', 'c']);
  assert.deepEqual(propertiesOf(admitted).headers, [
    ['a', text('1')],
    ['CC', keys('a', 'b')],
  ]);
  assert.equal(propertiesOf(admitted).contentType, 'text/plain');
  assert.equal(admitted.body().toString(), 'the body');
});

test('behaviour 104: CC or BCC that is no array is refused; what is no text in it is passed over', () => {
  const reason = (name: string, type: string) => `invalid message: {unacceptable_type_in_header,"${name}",${type}}`;
  assert.deepEqual(refusalOf({ headers: [['CC', text('a')]] }), ['precondition-failed', reason('CC', 'longstr')]);
  assert.deepEqual(refusalOf({ headers: [['BCC', { t: 'I', v: 1 }]] }), [
    'precondition-failed',
    reason('BCC', 'signedint'),
  ]);
  const mixed: FieldValue = { t: 'A', v: [text('a'), { t: 'I', v: 1 }, text('b')] };
  assert.deepEqual(message('x', 'k', { headers: [['CC', mixed]] }).extraRoutingKeys, ['a', 'b']);
});

test('behaviours 125 and 126: the reply name is rewritten to the channel address, or refused without one', () => {
  const replyTo = 'amq.rabbitmq.reply-to';
  assert.deepEqual(refusalOf({ replyTo }), ['precondition-failed', 'fast reply consumer does not exist']);
  const replyAddress = 'amq.rabbitmq.reply-to.token';
  const rewritten = message('x', 'k', { replyTo, replyAddress, correlationId: '7', body: 'ping' });
  assert.equal(propertiesOf(rewritten).replyTo, replyAddress);
  assert.equal(propertiesOf(rewritten).correlationId, '7');
  assert.equal(rewritten.body().toString(), 'ping');
  const ordinary = message('x', 'k', { replyTo: 'my.queue', replyAddress });
  assert.equal(propertiesOf(ordinary).replyTo, 'my.queue');
});

test('BCC and the reply name are rewritten together', () => {
  const admitted = message('x', 'k', {
    replyTo: 'amq.rabbitmq.reply-to',
    replyAddress: 'amq.rabbitmq.reply-to.token',
    headers: [['BCC', keys('c')]],
  });
  assert.deepEqual(propertiesOf(admitted).headers, []);
  assert.equal(propertiesOf(admitted).replyTo, 'amq.rabbitmq.reply-to.token');
});

test('a rewritten message is no longer the frames it came in, its tail is kept', () => {
  const door = new MessageDoor('guest', []);
  door.replyAddress = 'amq.rabbitmq.reply-to.t';
  const replyTo = Buffer.from('amq.rabbitmq.reply-to');
  const bytes = Buffer.concat([Buffer.from([0x02, 0x00, replyTo.length]), replyTo, Buffer.from('head')]);
  const tail = [Buffer.from('tail')];
  const end = bytes.length;
  const admitted = door.admit(address, bytes, 0, end - 4, end - 4, end, tail, 8, true);
  assert.ok(!(admitted instanceof Refusal));
  assert.deepEqual([admitted.isFramed, admitted.body().toString(), admitted.bodyBytes], [false, 'headtail', 8]);
});

test('one door judges each message by itself', () => {
  const door = new MessageDoor('guest', []);
  const full = Buffer.from([0x09, 0x00, 5, 3, 0x61, 0x62, 0x63]); // priority 5, expiration abc
  assert.ok(door.admit(address, full, 0, 7, 7, 7, [], 0, false) instanceof Refusal);
  const empty = door.admit(address, Buffer.from([0, 0]), 0, 2, 2, 2, [], 0, false);
  assert.ok(!(empty instanceof Refusal));
  assert.deepEqual([empty.priority, empty.expirationMs], [-1, -1]);
});
