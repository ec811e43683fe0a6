/** Which policies are taken, and the words for those that are not: as RabbitMQ 3.10.8 says them, tried there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whatIsWrongWithPolicy } from '../../../cluster/metadata/policy-rules.ts';

const judged = (definition: unknown, isOperator = false): string | null =>
  whatIsWrongWithPolicy({ pattern: '.*', applyTo: 'all', definition }, isOperator);

const NEEDS_MODE = 'ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown';

test('definitions that RabbitMQ takes are taken, others are refused in its words', () => {
  const cases: readonly (readonly [definition: unknown, wrong: string | null])[] = [
    [{}, 'no policy provided'],
    [{ zz: 1 }, '[{<<"zz">>,1}] are not recognised policy settings'],
    [{ 'message-ttl': 1, zz: 2 }, '[{<<"zz">>,2}] are not recognised policy settings'],
    [{ 'ha-mode': 'all' }, null],
    [{ 'ha-mode': 'all', 'ha-params': 2 }, 'ha-mode="all" does not take parameters'],
    [{ 'ha-mode': 'exactly', 'ha-params': 2 }, null],
    [{ 'ha-mode': 'exactly' }, 'ha-mode="exactly" takes an integer, none given'],
    [{ 'ha-mode': 'exactly', 'ha-params': '2' }, 'ha-mode="exactly" takes an integer, <<"2">> given'],
    [{ 'ha-mode': 'exactly', 'ha-params': 0 }, 'ha-mode="exactly" takes an integer, 0 given'],
    [{ 'ha-mode': 'nodes', 'ha-params': ['rabbit@a'] }, null],
    [{ 'ha-mode': 'nodes' }, 'ha-mode="nodes" takes a list, none given'],
    [{ 'ha-mode': 'nodes', 'ha-params': [] }, 'ha-mode="nodes" list must be non-empty'],
    [{ 'ha-mode': 'nodes', 'ha-params': [1] }, 'ha-mode="nodes" takes a list of strings, [1] was not a string'],
    [{ 'ha-mode': 'nodes', 'ha-params': 'x' }, 'ha-mode="nodes" takes a list, <<"x">> given'],
    [{ 'ha-mode': 'foo' }, '<<"foo">> is not a valid ha-mode value'],
    [{ 'ha-params': 2 }, NEEDS_MODE],
    [{ 'ha-sync-mode': 'automatic' }, NEEDS_MODE],
    [{ 'ha-promote-on-failure': 'always' }, NEEDS_MODE],
    [{ 'ha-min-in-sync': 2 }, NEEDS_MODE],
    [{ 'ha-mode': 'all', 'ha-sync-mode': 'foo' }, 'ha-sync-mode must be "manual" or "automatic", got <<"foo">>'],
    [{ 'ha-mode': 'all', 'ha-sync-batch-size': 0 }, 'ha-sync-batch-size takes an integer greater than 0, 0 given'],
    [{ 'ha-mode': 'all', 'ha-sync-batch-size': 1 }, null],
    [
      { 'ha-mode': 'all', 'ha-promote-on-shutdown': 'x' },
      'ha-promote-on-shutdown must be "always" or "when-synced", got <<"x">>',
    ],
    [
      { 'ha-mode': 'all', 'ha-promote-on-failure': 'x' },
      'ha-promote-on-failure must be "always" or "when-synced", got <<"x">>',
    ],
    [{ 'ha-mode': 'all', 'ha-min-in-sync': 0 }, 'ha-min-in-sync takes an integer greater than 0, 0 given'],
    [{ 'message-ttl': 0 }, null],
    [{ 'message-ttl': -1 }, '-1 is not a valid message TTL'],
    [{ 'message-ttl': 1.5 }, '1.5 is not a valid message TTL'],
    [{ expires: 0 }, '0 is not a valid queue expiry'],
    [{ 'max-length': 'x' }, '<<"x">> is not a valid maximum length'],
    [{ 'max-length-bytes': -1 }, '-1 is not a valid maximum length in bytes'],
    [{ overflow: 'x' }, '<<"x">> is not a valid overflow value'],
    [{ 'dead-letter-exchange': 1 }, '1 is not a valid dead letter exchange name'],
    [{ 'dead-letter-routing-key': 'a' }, null],
    [{ 'alternate-exchange': 1 }, '1 is not a valid alternate exchange name'],
    [{ 'queue-mode': 'x' }, '<<"x">> is not a valid queue-mode value'],
    [{ 'queue-version': 3 }, '3 is not a valid queue-version value'],
    [{ 'queue-master-locator': 'x' }, '<<"x">> invalid queue-master-locator value'],
    [{ 'queue-leader-locator': 'x' }, '<<"x">> is not a valid queue leader locator value'],
    [{ 'delivery-limit': -1 }, '-1 is not a valid delivery limit'],
    [{ 'dead-letter-strategy': 'x' }, '<<"x">> is not a valid dead letter strategy'],
    [[], 'a policy is an object of settings, [] given'],
    ['x', 'a policy is an object of settings, <<"x">> given'],
  ];
  for (const [definition, wrong] of cases) assert.equal(judged(definition), wrong, JSON.stringify(definition));
});

test('an operator sets limits and where copies are, nothing else', () => {
  for (const definition of [{ 'max-length': 1 }, { expires: 5 }, { 'ha-mode': 'exactly', 'ha-params': 3 }]) {
    assert.equal(judged(definition, true), null);
  }
  const refused = '[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings';
  assert.equal(judged({ 'dead-letter-exchange': 'x' }, true), refused);
});

test('the pattern is a regular expression and apply-to a known kind', () => {
  const base = { definition: { expires: 5 } };
  assert.match(
    whatIsWrongWithPolicy({ ...base, pattern: '(', applyTo: 'all' }, false) ?? '',
    /^pattern should be regular expression but is invalid: /,
  );
  assert.match(
    whatIsWrongWithPolicy({ ...base, pattern: '', applyTo: 'foo' }, false) ?? '',
    /^apply-to 'foo' unrecognised; should be 'queues',/,
  );
  for (const applyTo of ['queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges', 'all']) {
    assert.equal(whatIsWrongWithPolicy({ ...base, pattern: '', applyTo }, false), null);
  }
});
