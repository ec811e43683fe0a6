/** Walks through exchanges, cycles and alternates: every reachable queue, each once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { message } from '../support/messages.ts';
import { RoutingTable } from '../support/routing.ts';

test('behaviour 93: several matching bindings of one queue make one copy', () => {
  const table = new RoutingTable();
  table.exchange('t', 'topic');
  table.queue('q');
  for (const pattern of ['a.b', 'a.*', '#', 'a.#']) table.bind('t', 'q', pattern);
  table.bind('t', 'q', 'a.b', [['made', { t: 'I', v: 2 }]]);
  assert.deepEqual(table.route('t', 'a.b'), ['q']);
});

test('behaviour 61: a cycle of exchanges ends and makes one copy', () => {
  const table = new RoutingTable();
  for (const name of ['a', 'b', 'c']) table.exchange(name, 'fanout');
  table.queue('q');
  table.bind('a', 'b');
  table.bind('b', 'c');
  table.bind('c', 'a');
  table.bind('a', 'a');
  table.bind('c', 'q');
  table.bind('b', 'q');
  for (const first of ['a', 'b', 'c']) assert.deepEqual(table.route(first, 'k'), ['q']);
});

test('behaviour 97: the nameless exchange routes to the queue of that name', () => {
  const table = new RoutingTable();
  table.queue('q1');
  table.queue('q2');
  assert.deepEqual(table.route('', 'q1'), ['q1']);
  assert.deepEqual(table.route('', 'q3'), []);
  assert.deepEqual(table.route('', 'q1', null, ['q2', 'q1', 'none']), ['q1', 'q2']);
});

test('behaviour 106: an alternate exchange takes what met no binding, along a chain, and a circle of them ends', () => {
  const table = new RoutingTable();
  table.exchange('first', 'direct', 'second');
  table.exchange('second', 'direct', 'third');
  table.exchange('third', 'direct', 'first');
  table.exchange('lost', 'direct', 'missing');
  table.queue('q1');
  table.queue('q3');
  table.bind('first', 'q1', 'known');
  table.bind('third', 'q3', 'other');
  assert.deepEqual(table.route('first', 'known'), ['q1']);
  assert.deepEqual(table.route('first', 'other'), ['q3']);
  assert.deepEqual(table.route('first', 'nobody'), []);
  assert.deepEqual(table.route('lost', 'k'), []);
  // Met by one of the keys: not unroutable, so the alternate gets nothing.
  assert.deepEqual(table.route('first', 'other', null, ['known']), ['q1']);
});

test('behaviour 106: the alternate of an exchange in the middle counts too', () => {
  const table = new RoutingTable();
  table.exchange('front', 'fanout');
  table.exchange('inner', 'direct', 'rest');
  table.exchange('rest', 'fanout');
  table.queue('q');
  table.bind('front', 'inner');
  table.bind('rest', 'q');
  assert.deepEqual(table.route('front', 'k'), ['q']);
});

test('a walk past a headers exchange holds for one message only, others may be kept', () => {
  const table = new RoutingTable();
  table.exchange('d', 'direct');
  table.exchange('h', 'headers');
  table.queue('q');
  table.bind('d', 'h', 'k');
  table.bind('h', 'q', '', [['a', { t: 'I', v: 1 }]]);
  table.route('d', 'other');
  assert.equal(table.router.matches.isPerMessage, false);
  table.route('d', 'k');
  assert.equal(table.router.matches.isPerMessage, true);
  assert.deepEqual(table.route('d', 'k', message('d', 'k', { headers: [['a', { t: 'I', v: 1 }]] })), ['q']);
  assert.deepEqual(table.route('d', 'k', message('d', 'k', { headers: [['a', { t: 'I', v: 2 }]] })), []);
});

test('the router finds the reachable queues, each once, whatever the bindings are', () => {
  const names = ['e0', 'e1', 'e2', 'e3', 'e4'];
  const targets = [...names, 'q0', 'q1', 'q2'];
  const edges = fc.array(fc.tuple(fc.constantFrom(...names), fc.constantFrom(...targets)), { maxLength: 30 });
  const property = fc.property(edges, (bindings) => {
    const table = new RoutingTable();
    for (const name of names) table.exchange(name, 'fanout');
    for (const name of ['q0', 'q1', 'q2']) table.queue(name);
    for (const [from, to] of bindings) table.bind(from, to);
    const reached = new Set(['e0']);
    for (let round = 0; round < names.length + 1; round++) {
      for (const [from, to] of bindings) if (reached.has(from)) reached.add(to);
    }
    assert.deepEqual(table.route('e0', 'k'), [...reached].filter((name) => name.startsWith('q')).sort());
  });
  fc.assert(property, { numRuns: 300 });
});

test('removing bindings in any order leaves exactly the others', () => {
  const property = fc.property(
    fc.constantFrom('direct', 'fanout', 'topic', 'headers'),
    fc.array(fc.tuple(fc.constantFrom('k', 'l'), fc.boolean()), { maxLength: 25 }),
    (type, wanted) => {
      const table = new RoutingTable();
      table.exchange('x', type);
      const made = wanted.map(([key, isKept], i) => {
        table.queue(`q${i}`);
        return { binding: table.bind('x', `q${i}`, key), key, isKept, name: `q${i}` };
      });
      for (const { binding, isKept } of made) if (!isKept) table.unbind(binding);
      const isKeyed = type === 'direct' || type === 'topic';
      const expected = made.filter(({ isKept, key }) => isKept && (!isKeyed || key === 'k')).map(({ name }) => name);
      assert.deepEqual(table.route('x', 'k', message('x', 'k')), expected.sort());
    },
  );
  fc.assert(property);
});
