/** Keys that go round in any number keep most of what fits, within the limits of channel and connection. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../node/broker/session.ts';
import { DeliverTemplates } from '../../node/protocols/amqp091/deliver-templates.ts';
import {
  CachedRoute,
  ROUTES_PER_CONNECTION_MAX,
  type RouteBudget,
  RouteCache,
} from '../../node/protocols/amqp091/route-cache.ts';
import { Address } from '../../proto/entry/address.ts';

const ROUTE: Route = { generation: 1, address: new Address('', '') };

/** Looks a key up as a publish does. @returns whether it was there */
function use(cache: RouteCache, name: string): boolean {
  const key = Buffer.from(name);
  const found = cache.find(key, 0, key.length);
  if (found !== null) assert.equal(found.key.toString(), name);
  else cache.add(new CachedRoute(key, ROUTE, false));
  return found !== null;
}

function hitsOfRound(cache: RouteCache, keys: number, prefix = 'key'): number {
  let hits = 0;
  for (let key = 0; key < keys; key++) if (use(cache, `${prefix}${key}`)) hits++;
  return hits;
}

test('more keys than are kept, in turn: those kept are still found', () => {
  const budget: RouteBudget = { routes: 0 };
  const cache = new RouteCache(budget);
  hitsOfRound(cache, 20_000);
  for (let round = 0; round < 3; round++) assert.equal(hitsOfRound(cache, 20_000), ROUTES_PER_CONNECTION_MAX);
  assert.equal(budget.routes, ROUTES_PER_CONNECTION_MAX);
});

test('keys that are used no more make room for those that are', () => {
  const budget: RouteBudget = { routes: 0 };
  const cache = new RouteCache(budget);
  hitsOfRound(cache, ROUTES_PER_CONNECTION_MAX, 'old');
  for (let round = 0; round < 80; round++) hitsOfRound(cache, 1000, 'new');
  assert.equal(hitsOfRound(cache, 1000, 'new'), 1000);
  assert.ok(budget.routes <= ROUTES_PER_CONNECTION_MAX);
});

test('a channel keeps some routes even when others of its connection hold all that may be kept', () => {
  const budget: RouteBudget = { routes: 0 };
  const greedy = new RouteCache(budget);
  hitsOfRound(greedy, 20_000);
  const other = new RouteCache(budget);
  hitsOfRound(other, 10);
  assert.equal(hitsOfRound(other, 10), 10);
  for (let round = 0; round < 100; round++) hitsOfRound(other, 1000);
  assert.ok(budget.routes <= ROUTES_PER_CONNECTION_MAX + 16, `${budget.routes}`);
  greedy.clear();
  other.clear();
  assert.equal(budget.routes, 0);
});

test('a template bears the address asked for, among any number of others', () => {
  const addresses = Array.from(
    { length: 700 },
    (_, i) => new Address(i % 2 === 0 ? 'x' : 'exchange', `key.${'k'.repeat(i % 90)}${i}`),
  );
  const templates = new DeliverTemplates(3, 'tag');
  for (let round = 0; round < 20; round++) {
    for (const address of addresses) {
      const template = templates.templateFor(address);
      const frame = template.bytes.subarray(0, template.length);
      assert.equal(frame.readUInt32BE(3), frame.length - 8);
      assert.equal(frame.at(-1), 0xce);
      assert.ok(frame.subarray(template.tagAt + 9, -1).equals(address.bytes));
    }
  }
});
