/**
 * Queue arguments: which values each takes and how a wrong one is refused
 * (behaviours 80 to 91). Tables: argument, value, the text after the prefix.
 */
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { type QueueOptions, uniqueName } from '../../support/raw-client/channel.ts';
import { type TableInput, type TableObject, typed } from '../../support/raw-client/table.ts';

const broker = await startBroker();
after(() => broker.stop());

interface RefusedArgument {
  /** Its number in brackets. */
  readonly behaviour: string;
  readonly argument: string;
  readonly value: TableInput;
  /** What follows `invalid arg 'A' for queue 'Q' in vhost '/'`. */
  readonly text: string;
}

const INTEGER_ARGUMENTS = ['x-message-ttl', 'x-expires', 'x-max-length', 'x-max-length-bytes', 'x-max-priority'];

const REFUSED: readonly RefusedArgument[] = [
  { behaviour: '[80]', argument: 'x-message-ttl', value: -1, text: ': {value_negative,-1}' },
  ...INTEGER_ARGUMENTS.map((argument) => ({
    behaviour: '[81]',
    argument,
    value: 'five',
    text: ': "expected integer, got longstr"',
  })),
  { behaviour: '[83]', argument: 'x-expires', value: 0, text: ': {value_zero,0}' },
  { behaviour: '[83]', argument: 'x-expires', value: -1, text: ': {value_negative,-1}' },
  { behaviour: '[84]', argument: 'x-max-length', value: -1, text: ': {value_negative,-1}' },
  { behaviour: '[84]', argument: 'x-max-length-bytes', value: -1, text: ': {value_negative,-1}' },
  { behaviour: '[84]', argument: 'x-max-priority', value: -1, text: ': {value_negative,-1}' },
  { behaviour: '[84]', argument: 'x-max-priority', value: 256, text: ': {max_value_exceeded,256}' },
  { behaviour: '[85]', argument: 'x-overflow', value: 'foo', text: ': invalid_overflow' },
  { behaviour: '[85]', argument: 'x-overflow', value: 5, text: ': {unacceptable_type,signedint}' },
  { behaviour: '[87]', argument: 'x-queue-mode', value: 'foo', text: ': "unsupported queue mode \'foo\'"' },
  { behaviour: '[87]', argument: 'x-queue-type', value: 'foo', text: ': "unsupported queue type \'foo\'"' },
  { behaviour: '[87]', argument: 'x-queue-type', value: 5, text: ': {unacceptable_type,signedint}' },
  { behaviour: '[87]', argument: 'x-queue-version', value: 3, text: ': "unsupported queue version \'3\'"' },
  { behaviour: '[87]', argument: 'x-single-active-consumer', value: 'yes', text: ': {unacceptable_type,longstr}' },
  ...['x-delivery-limit', 'x-quorum-initial-group-size'].map((argument) => ({
    behaviour: '[88]',
    argument,
    value: 5,
    text: ' of queue type rabbit_classic_queue',
  })),
  {
    behaviour: '[88]',
    argument: 'x-dead-letter-strategy',
    value: 'at-most-once',
    text: ' of queue type rabbit_classic_queue',
  },
];

const QUORUM_REFUSED: readonly RefusedArgument[] = [
  { behaviour: '[88]', argument: 'x-max-priority', value: 5, text: ' of queue type rabbit_quorum_queue' },
  { behaviour: '[88]', argument: 'x-queue-mode', value: 'lazy', text: ' of queue type rabbit_quorum_queue' },
  { behaviour: '[91]', argument: 'x-quorum-initial-group-size', value: 0, text: ': {value_zero,0}' },
  { behaviour: '[91]', argument: 'x-dead-letter-strategy', value: 'foo', text: ': invalid_dlx_strategy' },
  { behaviour: '[91]', argument: 'x-queue-leader-locator', value: 'foo', text: ': invalid_queue_locator_arg' },
];

interface AcceptedArguments {
  /** Its number in brackets. */
  readonly behaviour: string;
  readonly arguments: TableObject;
}

const ACCEPTED: readonly AcceptedArguments[] = [
  { behaviour: '[82]', arguments: { 'x-message-ttl': typed('l', 2 ** 33) } },
  { behaviour: '[84]', arguments: { 'x-max-priority': 0 } },
  { behaviour: '[84]', arguments: { 'x-max-priority': 255 } },
  ...['drop-head', 'reject-publish', 'reject-publish-dlx'].map((overflow) => ({
    behaviour: '[85]',
    arguments: { 'x-overflow': overflow },
  })),
  ...['default', 'lazy'].map((mode) => ({ behaviour: '[87]', arguments: { 'x-queue-mode': mode } })),
  { behaviour: '[87]', arguments: { 'x-queue-type': 'classic' } },
  { behaviour: '[87]', arguments: { 'x-queue-version': 2 } },
  { behaviour: '[89]', arguments: { 'x-anything': 1, anything: 'else' } },
];

const QUORUM_ACCEPTED: readonly AcceptedArguments[] = [
  { behaviour: '[89]', arguments: { 'x-anything': 1, anything: 'else' } },
  ...['drop-head', 'reject-publish', 'reject-publish-dlx'].map((overflow) => ({
    behaviour: '[91]',
    arguments: { 'x-overflow': overflow },
  })),
  {
    behaviour: '[91]',
    arguments: { 'x-message-ttl': 60_000, 'x-expires': 60_000, 'x-max-length': 5, 'x-max-length-bytes': 5 },
  },
  {
    behaviour: '[91]',
    arguments: { 'x-single-active-consumer': true, 'x-delivery-limit': -1, 'x-max-in-memory-length': 5 },
  },
];

describe('queue arguments', { concurrency: true }, () => {
  for (const { behaviour, argument, value, text } of REFUSED) {
    test(`${behaviour} ${argument} ${show(value)} is refused`, async (t) => {
      const channel = await broker.channel(t);
      const queue = uniqueName('queue');
      await channel.refused(
        'queue.declare',
        { queue, arguments: { [argument]: value } },
        406,
        `PRECONDITION_FAILED - invalid arg '${argument}' for queue '${queue}' in vhost '/'${text}`,
      );
    });
  }

  for (const { behaviour, arguments: args } of ACCEPTED) {
    test(`${behaviour} ${show(args)} is accepted`, async (t) => {
      const channel = await broker.channel(t);
      await channel.declareQueue({ exclusive: true, arguments: args });
    });
  }

  test('[86] a dead letter exchange that is not a string has a wording of its own', async (t) => {
    const channel = await broker.channel(t);
    const queue = uniqueName('queue');
    await channel.refused(
      'queue.declare',
      { queue, arguments: { 'x-dead-letter-exchange': 5 } },
      406,
      `PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue '${queue}' in vhost '/'`,
    );
  });

  for (const { args, text } of [
    {
      args: { 'x-dead-letter-routing-key': 5, 'x-dead-letter-exchange': 'amq.fanout' },
      text: '{unacceptable_type,signedint}',
    },
    { args: { 'x-dead-letter-routing-key': 'key' }, text: 'routing_key_but_no_dlx_defined' },
  ]) {
    test(`[86] a dead letter routing key in ${show(args)} is refused`, async (t) => {
      const channel = await broker.channel(t);
      const queue = uniqueName('queue');
      await channel.refused(
        'queue.declare',
        { queue, arguments: args },
        406,
        `PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue '${queue}' in vhost '/': ${text}`,
      );
    });
  }

  for (const { behaviour, argument, value, text } of QUORUM_REFUSED) {
    test(`${behaviour} ${argument} ${show(value)} is refused on a quorum queue`, async (t) => {
      const channel = await broker.channel(t);
      const queue = uniqueName('quorum');
      await channel.refused(
        'queue.declare',
        { queue, durable: true, arguments: { 'x-queue-type': 'quorum', [argument]: value } },
        406,
        `PRECONDITION_FAILED - invalid arg '${argument}' for queue '${queue}' in vhost '/'${text}`,
      );
    });
  }

  for (const { behaviour, arguments: args } of QUORUM_ACCEPTED) {
    test(`${behaviour} ${show(args)} is accepted on a quorum queue`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue({ durable: true, arguments: { 'x-queue-type': 'quorum', ...args } });
      await channel.call('queue.delete', { queue });
    });
  }

  const WRONG_PROPERTIES: readonly { property: string; options: QueueOptions }[] = [
    { property: 'non-durable', options: { durable: false } },
    { property: 'exclusive-owner', options: { durable: true, exclusive: true } },
    { property: 'auto-delete', options: { durable: true, autoDelete: true } },
  ];
  for (const { property, options } of WRONG_PROPERTIES) {
    test(`[90] a quorum queue cannot be ${show({ ...options })}`, async (t) => {
      const channel = await broker.channel(t);
      const queue = uniqueName('quorum');
      await channel.refused(
        'queue.declare',
        { queue, ...options, arguments: { 'x-queue-type': 'quorum' } },
        406,
        `PRECONDITION_FAILED - invalid property '${property}' for queue '${queue}' in vhost '/'`,
      );
    });
  }

  const streams = broker.kind === 'rabbit' ? 'the original has stream queues' : false;
  test('[87] x-queue-type stream is refused like an unknown type', { skip: streams }, async (t) => {
    const channel = await broker.channel(t);
    const queue = uniqueName('stream');
    await channel.refused(
      'queue.declare',
      { queue, durable: true, arguments: { 'x-queue-type': 'stream' } },
      406,
      `PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue '${queue}' in vhost '/': ` +
        '"unsupported queue type \'stream\'"',
    );
  });
});

function show(value: unknown): string {
  return JSON.stringify(value);
}
