/** definitions.json: every mistake is named, and what is left are commands that the metadata takes. */
import assert from 'node:assert/strict';
import { apply } from '../../../cluster/metadata/apply.ts';
import { whatIsWrong } from '../../../cluster/metadata/command-shape.ts';
import type { Command } from '../../../cluster/metadata/commands.ts';
import { toJson } from '../../../cluster/metadata/json-text.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import { readDefinitions } from '../../../node/admin/definitions-reader.ts';
import { writeDefinitions } from '../../../node/admin/definitions-writer.ts';
import * as build from '../../cluster/builders.ts';
import { mutatedJson } from '../core/json.ts';
import type { Material } from '../core/mutate.ts';
import { REFUSED, type Target, words } from '../core/target.ts';
import { EVERY_FIELD, QUEUE_ARGUMENTS } from './samples.ts';

/** Far deeper than functions can call themselves. */
const BEYOND_THE_STACK = 20_000;
const NODE = { nodeId: build.NODE_ID, incarnation: 1 };
const FOUND: Command = { type: 'found-cluster', clusterId: 'id', name: 'rabbit@one', defaults: [build.putVhost()] };

function stateWith(commands: readonly Command[]): MetadataState {
  const state = new MetadataState();
  for (const [number, command] of [FOUND, ...commands].entries()) apply(state, command, number + 1);
  return state;
}

const EXPORTED = writeDefinitions(
  stateWith([
    { type: 'put-user', user: build.user({ tags: ['administrator'] }), mode: 'put' },
    { type: 'put-permission', permission: { user: 'guest', vhost: '/', configure: '.*', write: '.*', read: '.*' } },
    { type: 'put-topic-permission', permission: { user: 'guest', vhost: '/', exchange: 'x', write: 'a', read: 'b' } },
    { type: 'declare-exchange', exchange: build.exchange() },
    { type: 'declare-queue', queue: build.queue({ arguments: QUEUE_ARGUMENTS }), nodeId: build.NODE_ID },
    { type: 'declare-binding', binding: build.binding({ arguments: EVERY_FIELD }) },
    { type: 'put-policy', policy: build.policy({ definition: { 'max-length': 5 } }), isOperator: false },
    { type: 'put-parameter', parameter: { component: 'c', vhost: '/', name: 'n', value: { any: 'thing' } } },
  ]),
);
const OLD = JSON.stringify({
  vhosts: [{ name: '/', limits: [{ name: 'max-queues', value: 3 }], metadata: { tags: [] } }, { name: 'v' }],
  users: [{ name: 'u', password_hash: 'AAAA', tags: 'administrator,monitoring', limits: { 'max-channels': 4 } }],
  parameters: [
    { component: 'vhost-limits', vhost: '/', name: 'limits', value: { 'max-connections': 7 } },
    { component: 'operator_policy', vhost: '/', name: 'o', value: { pattern: '.*', definition: [['expires', 9]] } },
  ],
  global_parameters: [{ name: 'cluster_name', value: 'here' }],
  queues: [{ name: 'q', vhost: 'v', durable: false, auto_delete: true, arguments: {}, type: 'quorum' }],
  bindings: [{ source: 'amq.topic', vhost: 'v', destination: 'q', destination_type: 'queue', routing_key: '#' }],
});
const OF_ONE_VHOST = JSON.stringify({
  vhost: 'v',
  queues: [{ name: 'q' }],
  exchanges: [{ name: 'e', type: 'fanout' }],
});
const NAMES = ['name', 'vhost', 'vhosts', 'limits', 'tags', 'type', 'arguments', 'value', 'definition', '__proto__'];
const RAW: Material = {
  corpus: [],
  dictionary: words('"', '{', '[', ',', '\\', 'null', '__proto__'),
  bytesMax: 60_000,
};
const CORPUS = [EXPORTED, OLD, OF_ONE_VHOST, '{}'];
const MATERIAL: Material = { ...RAW, corpus: CORPUS.map((text) => Buffer.from(text)) };

function check(input: Buffer): number {
  const { items, mistakes } = readDefinitions(input.toString(), NODE);
  for (const { command, place } of items) {
    assert.equal(whatIsWrong(command), null, `${place} is a command that the metadata knows`);
  }
  const state = stateWith(items.map(({ command }) => command));
  const exported = writeDefinitions(state);
  const again = readDefinitions(exported, NODE);
  const isNested = items.some(({ command }) => toJson(command).includes('[[[[[[[[['));
  if (!isNested) assert.deepEqual(again.mistakes, [], 'what was imported is exported without a mistake');
  for (const mistake of mistakes) assert.ok(mistake.length <= 1000, `a mistake is told in a line: ${mistake.length}`);
  return mistakes.length > 0 ? REFUSED : exported.length;
}

export const definitions: Target = {
  name: 'definitions',
  claim: 'definitions are turned into commands that the metadata takes, every mistake is named, nothing is thrown',
  casesInTests: 10_000,
  ...MATERIAL,
  generate: (random) => mutatedJson(random, CORPUS, NAMES, MATERIAL, BEYOND_THE_STACK),
  growth: { factor: 12, constant: 12_000 },
  check,
};
