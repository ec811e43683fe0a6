/**
 * definitions.json: what is read from it, what is written to it, and that an
 * import is all or nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDefinitions } from '../../node/admin/definitions-reader.ts';

const exported = {
  rabbit_version: '3.10.8',
  users: [
    {
      name: 'guest',
      password_hash: 'aGFzaA==',
      hashing_algorithm: 'rabbit_password_hashing_sha256',
      tags: ['administrator'],
      limits: { 'max-connections': 5 },
    },
  ],
  vhosts: [{ name: '/', limits: [{ name: 'max-queues', value: 9 }], metadata: { description: 'd', tags: ['t'] } }],
  permissions: [{ user: 'guest', vhost: '/', configure: '.*', write: '.*', read: '.*' }],
  queues: [
    {
      name: 'q',
      vhost: '/',
      durable: true,
      auto_delete: false,
      arguments: { 'x-max-length': 5, 'x-queue-type': 'quorum' },
    },
  ],
  exchanges: [
    { name: 'e', vhost: '/', type: 'topic', durable: true, auto_delete: false, internal: false, arguments: {} },
    { name: 'amq.topic', vhost: '/', type: 'topic' },
  ],
  bindings: [{ source: 'e', vhost: '/', destination: 'q', destination_type: 'queue', routing_key: 'k', arguments: {} }],
};

test("RabbitMQ's export is read in an order in which everything finds what it needs", () => {
  const { items, mistakes } = readDefinitions(JSON.stringify(exported), { nodeId: 'node-1', incarnation: 1 });
  assert.deepEqual(mistakes, []);
  assert.deepEqual(
    items.map((item) => item.command.type),
    ['put-vhost', 'put-user', 'put-permission', 'declare-exchange', 'declare-queue', 'declare-binding'],
  );
  const [vhost, user, , , queue] = items.map((item) => item.command);
  assert.ok(vhost?.type === 'put-vhost' && vhost.vhost.maxQueues === 9 && vhost.vhost.description === 'd');
  assert.ok(user?.type === 'put-user' && user.user.passwordHash === 'aGFzaA==' && user.user.maxConnections === 5);
  assert.ok(queue?.type === 'declare-queue' && queue.queue.type === 'quorum');
  assert.deepEqual(queue.queue.arguments, [
    ['x-max-length', { t: 'l', v: 5 }],
    ['x-queue-type', { t: 'S', v: 'quorum' }],
  ]);
});

test("a vhost's own export gives its items that vhost", () => {
  const { items } = readDefinitions(JSON.stringify({ vhost: 'v', queues: [{ name: 'q' }] }), {
    nodeId: 'n',
    incarnation: 1,
  });
  assert.ok(items[0]?.command.type === 'declare-queue' && items[0].command.queue.vhost === 'v');
});

test('every mistake is named with its item', () => {
  const { mistakes } = readDefinitions(
    JSON.stringify({
      users: [{ password_hash: 5 }],
      queues: [{ name: 'q', vhost: '/', durable: 'yes' }, { name: 's', vhost: '/', type: 'stream' }, 7],
      bindings: [{ source: 'e', vhost: '/', destination: 'q', destination_type: 'topic' }],
      exchanges: {},
    }),
    { nodeId: 'n', incarnation: 1 },
  );
  assert.deepEqual(mistakes, [
    "users[0] '': name: expected a text, found nothing",
    "users[0] '': password_hash: expected a text, found 5",
    'exchanges: expected a list, found object',
    "queues[0] 'q' in vhost '/': durable: expected true or false, found \"yes\"",
    "queues[1] 's' in vhost '/': type \"stream\": expected classic or quorum",
    'queues[2]: expected an object',
    "bindings[0] 'e' in vhost '/': destination_type 'topic': expected queue or exchange",
  ]);
});

test('what is no JSON object is refused', () => {
  for (const text of ['', '{', '[]', '5', 'null']) {
    const { items, mistakes } = readDefinitions(text, { nodeId: 'n', incarnation: 1 });
    assert.deepEqual(items, []);
    assert.equal(mistakes.length, 1, text);
  }
});

test('values that trip up a program are mistakes of the file', () => {
  const node = { nodeId: 'n', incarnation: 1 };
  for (const odd of ['{"toString":1,"valueOf":1}', '{"__proto__":null}', '[[]]', '[{"toString":1}]']) {
    for (const text of [
      `{"users":[{"name":${odd}}]}`,
      `{"vhosts":[{"name":${odd},"limits":[{"name":${odd},"value":1}]}],"parameters":[{"component":"vhost-limits"}]}`,
      `{"queues":[{"name":"q","vhost":"/","type":${odd}}]}`,
      `{"policies":[{"name":"p","vhost":"/","pattern":${odd},"definition":{}}]}`,
    ]) {
      const { items, mistakes } = readDefinitions(text, node);
      assert.deepEqual(items, [], text);
      assert.ok(mistakes.length > 0, text);
    }
  }
  const value = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  for (const text of [
    `{"users":[{"name":${value}}]}`,
    `{"queues":[{"name":"q","vhost":"/","arguments":{"x":${value}}}]}`,
    `{"parameters":[{"component":"c","vhost":"/","name":"n","value":${value}}]}`,
  ]) {
    const { mistakes } = readDefinitions(text, node);
    assert.deepEqual(mistakes, ['expected at most 64 lists and objects within each other']);
  }
});
