/**
 * Arguments of queues and exchanges: every one that RabbitMQ knows, with values
 * that it takes and values that it does not.
 */
import fc, { type Arbitrary } from 'fast-check';
import { type TableInput, type TableObject, typed } from '../support/raw-client/table.ts';
import { SHORT_TTL_MS } from './script.ts';
import { anyField, EXCHANGE_NAMES, QUEUE_NAMES, weighted } from './values.ts';

type Values = Readonly<Record<string, readonly TableInput[]>>;

/** What a classic queue takes. Time to live is short, or longer than any script. */
const CLASSIC: Values = {
  'x-message-ttl': [60_000, 60_000, typed('l', 60_000), SHORT_TTL_MS, 0],
  'x-max-length': [5, 3, 2, typed('b', 2), 3, 1, 0],
  'x-max-length-bytes': [50, 20, 20, 6, 2, 0],
  'x-overflow': ['drop-head', 'reject-publish', 'reject-publish-dlx'],
  'x-dead-letter-exchange': ['', ...EXCHANGE_NAMES, 'amq.fanout', 'amq.topic'],
  'x-single-active-consumer': [true, false],
  'x-expires': [60_000, typed('l', 60_000)],
  'x-max-priority': [0, 1, 5, typed('B', 5), 255],
  'x-queue-mode': ['default', 'lazy'],
  'x-queue-version': [1, 2],
  'x-queue-type': ['classic'],
  'x-unknown': ['abc', 5],
};

/** RabbitMQ's quorum queues expire messages late, and reject publishes some time after they are full. */
const QUORUM: Values = {
  'x-message-ttl': [60_000],
  'x-max-length': [0, 1, 2, 3],
  'x-max-length-bytes': [0, 2, 6],
  'x-overflow': ['drop-head'],
  'x-dead-letter-exchange': ['', ...EXCHANGE_NAMES],
  'x-delivery-limit': [0, 1, 2],
  'x-expires': [60_000],
};

/** Everything that some queue type knows. */
const KNOWN = [
  ...Object.keys(CLASSIC),
  'x-dead-letter-routing-key',
  'x-delivery-limit',
  'x-dead-letter-strategy',
  'x-queue-leader-locator',
  'x-quorum-initial-group-size',
  'x-max-in-memory-length',
  'x-max-in-memory-bytes',
  'x-cancel-on-ha-failover',
];

const INTEGERS = [-1, 0, 1, 5, 255, 256, 2 ** 31 - 1];

const oddValue: Arbitrary<TableInput> = weighted<TableInput>(
  [3, anyField],
  [3, fc.constantFrom(...'bBsuIil').chain((tag) => fc.constantFrom(0, 1, 5, 100).map((value) => typed(tag, value)))],
  [3, fc.constantFrom(...INTEGERS)],
  [1, fc.constantFrom(2 ** 32, 2 ** 33, 2 ** 53)],
  [1, fc.constantFrom('quorum', 'foo', 'at-least-once', 'at-most-once', 'client-local', 'balanced', 'lazy')],
);

function someOf(values: Values, countMax: number): Arbitrary<TableObject> {
  return fc
    .uniqueArray(fc.constantFrom(...Object.keys(values)), { maxLength: countMax })
    .chain((keys) =>
      fc.tuple(...keys.map((key) => fc.constantFrom(...values[key]!).map((value) => [key, value] as const))),
    )
    .map((entries) => Object.fromEntries(entries));
}

/** A dead-letter routing key only where there is an exchange for it. */
function withDeadLetterKey(tables: Arbitrary<TableObject>): Arbitrary<TableObject> {
  return fc.tuple(tables, fc.constantFrom(null, ...QUEUE_NAMES, 'a.b')).map(([table, key]) => {
    if (key === null || table['x-dead-letter-exchange'] === undefined) return table;
    return { ...table, 'x-dead-letter-routing-key': key };
  });
}

export const goodClassicArguments = withDeadLetterKey(someOf(CLASSIC, 3));

export const goodQuorumArguments = withDeadLetterKey(someOf(QUORUM, 3)).map((table) => ({
  ...table,
  'x-queue-type': 'quorum',
}));

/** Streams and master locators that make RabbitMQ crash are left out. */
export const oddArguments: Arbitrary<TableObject> = fc
  .tuple(
    weighted([3, goodClassicArguments], [1, goodQuorumArguments]),
    fc.dictionary(fc.constantFrom(...KNOWN), oddValue, { minKeys: 1, maxKeys: 2, noNullPrototype: true }),
  )
  .map(([good, odd]) => ({ ...good, ...odd }));

export const exchangeArguments: Arbitrary<TableObject> = weighted<TableObject>(
  [10, fc.constant({})],
  [4, fc.constantFrom(...EXCHANGE_NAMES, 'amq.fanout').map((name) => ({ 'alternate-exchange': name }))],
  [1, anyField.map((value) => ({ 'alternate-exchange': value }))],
  [1, anyField.map((value) => ({ 'x-unknown': value }))],
);
