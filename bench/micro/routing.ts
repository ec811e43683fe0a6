/**
 * What one walk of the router costs: topic exchanges with 1,000 and 100,000
 * bindings, direct and fanout beside them. Prints ns per route and what adding
 * and removing a binding costs.
 *
 * A route is asked once per exchange and routing key of a channel, so the case
 * that counts is the one of keys that never repeat: the keys here are 4,096
 * different ones.
 *
 *   node dist/bench/micro/routing.js
 */
import { Binding } from '../../node/broker/exchange/binding.ts';
import { Exchange } from '../../node/broker/exchange/exchange.ts';
import { exchangeTypes } from '../../node/broker/exchange/registry.ts';
import { Router } from '../../node/broker/exchange/router.ts';
import { effectiveSettings } from '../../node/broker/queue/arguments.ts';
import type { LiveQueue } from '../../node/broker/queue/live-queue.ts';
import { QueueDestination, Vhost } from '../../node/broker/vhost.ts';
import { NO_KEYS } from '../../proto/entry/message.ts';

const QUEUES = 1000;
const KEYS = 4096;
const SECONDS_PER_CASE = 0.5;

interface Case {
  readonly name: string;
  readonly type: string;
  readonly bindings: number;
  pattern(i: number): string;
  key(i: number): string;
}

const cases: readonly Case[] = [
  {
    name: 'direct, 100,000 keys',
    type: 'direct',
    bindings: 100_000,
    pattern: (i) => `key.${i}`,
    key: (i) => `key.${i * 24}`,
  },
  { name: 'fanout to 10', type: 'fanout', bindings: 10, pattern: () => '', key: (i) => `key.${i}` },
  topic('topic, 1,000 exact', 1000, (i) => `stock.us.company${i}.price`),
  topic('topic, 100,000 exact', 100_000, (i) => `stock.us.company${i}.price`),
  topic('topic, 1,000 with stars', 1000, (i) => `stock.*.company${i}.*`),
  topic('topic, 100,000 with stars', 100_000, (i) => `stock.*.company${i}.*`),
  topic('topic, 100,000 with hashes', 100_000, (i) => `stock.#.company${i}.#`),
  topic('topic, 100,000 of hashes first', 100_000, (i) => `#.company${i}.price`),
];

function topic(name: string, bindings: number, pattern: (i: number) => string): Case {
  return { name, type: 'topic', bindings, pattern, key: (i) => `stock.us.company${(i * 24) % bindings}.price` };
}

for (const one of cases) measure(one);

function measure(one: Case): void {
  const definition = { name: '', description: '', tags: [], defaultQueueType: null, isTracing: false };
  const vhost = new Vhost({ ...definition, maxConnections: -1, maxQueues: -1 });
  const type = exchangeTypes.get(one.type)!;
  const exchange = new Exchange(
    {
      vhost: '',
      name: 'x',
      type: one.type,
      isDurable: true,
      isAutoDelete: false,
      isInternal: false,
      arguments: [],
      user: '',
    },
    type,
    type.createTable(12345),
  );
  const queues = Array.from({ length: QUEUES }, () => new QueueDestination(noQueue()));
  const bindings = Array.from({ length: one.bindings }, (_, i) => {
    const destination = queues[i % QUEUES]!;
    const ends = { vhost: '', source: 'x', destinationKind: 'queue', destination: '', user: '' } as const;
    return new Binding({ ...ends, routingKey: one.pattern(i), arguments: [] }, exchange, destination);
  });
  const addNs = timed(() => each(bindings, (binding) => exchange.table.add(binding))) / bindings.length;
  const routeNs = measureRoutes(
    vhost,
    exchange,
    Array.from({ length: KEYS }, (_, i) => one.key(i)),
  );
  const removeNs = timed(() => each(bindings, (binding) => exchange.table.remove(binding))) / bindings.length;
  const columns = [`${routeNs.toFixed(0)} ns/route`, `${addNs.toFixed(0)} ns/bind`, `${removeNs.toFixed(0)} ns/unbind`];
  console.log(one.name.padEnd(32), columns.map((column) => column.padStart(16)).join(''));
}

function measureRoutes(vhost: Vhost, exchange: Exchange, keys: readonly string[]): number {
  const router = new Router();
  let routes = 0;
  let found = 0;
  const until = performance.now() + SECONDS_PER_CASE * 1000;
  let ns = 0;
  while (performance.now() < until) {
    ns += timed(() => {
      for (const key of keys) found += router.route(vhost, exchange, key, NO_KEYS, null).queues.length;
    });
    routes += keys.length;
  }
  if (found === 0) throw new Error('no key met a binding');
  return ns / routes;
}

function each(bindings: readonly Binding[], run: (binding: Binding) => void): void {
  for (const binding of bindings) run(binding);
}

function timed(run: () => void): number {
  const start = performance.now();
  run();
  return (performance.now() - start) * 1e6;
}

/** Routing never looks into a queue. */
function noQueue(): LiveQueue {
  const definition = {
    id: 0,
    vhost: '',
    name: '',
    type: 'classic',
    isDurable: true,
    isExclusive: false,
    isAutoDelete: false,
    arguments: [],
    user: '',
    owner: null,
    leader: '',
    epoch: 0,
    replication: null,
  } as const;
  return Object.create({ id: 0, definition, settings: effectiveSettings(definition, null) });
}
