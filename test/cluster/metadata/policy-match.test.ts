/** Which policy applies, and what it says with the operator's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyMatcher, type PolicySubject } from '../../../cluster/metadata/policy-match.ts';
import { policy } from '../builders.ts';

const classic = (name: string): PolicySubject => ({ kind: 'queue', type: 'classic', name });
const quorum = (name: string): PolicySubject => ({ kind: 'queue', type: 'quorum', name });
const exchange = (name: string): PolicySubject => ({ kind: 'exchange', name });

test('the matching policy with the highest priority applies alone, among equals the first by name', () => {
  const matcher = new PolicyMatcher(
    [
      policy({ name: 'low', pattern: '.*', definition: { a: 1, b: 1 } }),
      policy({ name: 'z', pattern: '^orders', priority: 5, definition: { a: 2 } }),
      policy({ name: 'b', pattern: '^orders', priority: 5, definition: { a: 3 } }),
      policy({ name: 'other', pattern: '^bills$', priority: 9, definition: { a: 4 } }),
      policy({ name: 'not-amq', pattern: '^(?!amq\\.).*x', priority: 7, definition: { a: 5 } }),
    ],
    [],
  );
  const cases = [
    ['orders.eu', 'b', { a: 3 }],
    ['bills', 'other', { a: 4 }],
    ['bills2', 'low', { a: 1, b: 1 }],
    ['amq.x', 'low', { a: 1, b: 1 }],
    ['max', 'not-amq', { a: 5 }],
  ] as const;
  for (const [name, expected, definition] of cases) {
    const found = matcher.effectivePolicy(classic(name));
    assert.deepEqual({ name: found.policy?.name, definition: found.definition }, { name: expected, definition }, name);
  }
});

test('apply-to says for what a policy is meant', () => {
  const subjects = { classic: classic('n'), quorum: quorum('n'), exchange: exchange('n') };
  const cases = [
    ['all', ['classic', 'quorum', 'exchange']],
    ['queues', ['classic', 'quorum']],
    ['classic_queues', ['classic']],
    ['quorum_queues', ['quorum']],
    ['exchanges', ['exchange']],
    ['streams', []],
  ] as const;
  for (const [applyTo, expected] of cases) {
    const matcher = new PolicyMatcher([policy({ applyTo })], []);
    const found = Object.entries(subjects).filter(([, subject]) => matcher.effectivePolicy(subject).policy !== null);
    assert.deepEqual(
      found.map(([name]) => name),
      expected,
      applyTo,
    );
  }
});

test("an operator's policy is laid over the user's: of two limits the stricter counts", () => {
  const user = { 'max-length': 10, 'message-ttl': 100, expires: 5, overflow: 'drop-head', 'ha-mode': 'all', only: 1 };
  const operator = { 'max-length': 20, 'message-ttl': 50, overflow: 'reject-publish', 'ha-mode': 'exactly', more: 2 };
  const matcher = new PolicyMatcher([policy({ definition: user })], [policy({ name: 'op', definition: operator })]);
  const { definition, operatorPolicy } = matcher.effectivePolicy(classic('q'));
  assert.equal(operatorPolicy?.name, 'op');
  assert.deepEqual(definition, {
    'max-length': 10,
    'message-ttl': 50,
    expires: 5,
    overflow: 'reject-publish',
    'ha-mode': 'all',
    only: 1,
    more: 2,
  });
  assert.deepEqual(
    new PolicyMatcher([], [policy({ definition: operator })]).effectivePolicy(quorum('q')).definition,
    operator,
  );
  assert.deepEqual(matcher.effectivePolicy(exchange('x')).definition, user, 'operator policies are for queues');
});

test('a name without a policy has none', () => {
  const found = new PolicyMatcher([policy({ pattern: '^a' })], []).effectivePolicy(classic('b'));
  assert.deepEqual(found, { policy: null, operatorPolicy: null, definition: {}, tooComplex: [] });
});

test('a pattern that takes too many steps is left out and named; one with an error matches nothing', () => {
  const matcher = new PolicyMatcher(
    [
      policy({ name: 'wild', pattern: '^(a|a)*(a|a)*(a|a)*\\1b$', priority: 2 }),
      policy({ name: 'broken', pattern: '(', priority: 1 }),
      policy({ name: 'plain' }),
    ],
    [],
  );
  const found = matcher.effectivePolicy(classic('a'.repeat(255)));
  assert.deepEqual({ name: found.policy?.name, tooComplex: found.tooComplex }, { name: 'plain', tooComplex: ['wild'] });
});

test('of two wishes for copies the further reaching wins, with its own parameters', () => {
  const all = { 'ha-mode': 'all' };
  const exactly = (count: number) => ({ 'ha-mode': 'exactly', 'ha-params': count });
  const nodes = (...names: readonly string[]) => ({ 'ha-mode': 'nodes', 'ha-params': names });
  const cases = [
    [all, exactly(2), all],
    [exactly(2), all, all],
    [nodes('a'), exactly(2), exactly(2)],
    [exactly(3), nodes('a'), exactly(3)],
    [exactly(2), exactly(5), exactly(5)],
    [exactly(5), exactly(2), exactly(5)],
    [nodes('a', 'b'), nodes('b', 'c'), nodes('a', 'b', 'c')],
    [{}, exactly(2), exactly(2)],
    [{ 'ha-sync-mode': 'manual' }, { 'ha-sync-mode': 'automatic' }, { 'ha-sync-mode': 'automatic' }],
  ] as const;
  for (const [user, operator, expected] of cases) {
    const matcher = new PolicyMatcher([policy({ definition: user })], [policy({ name: 'op', definition: operator })]);
    assert.deepEqual(matcher.effectivePolicy(classic('q')).definition, expected);
  }
});
