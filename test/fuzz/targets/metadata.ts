/**
 * The metadata log: lines of commands are applied or answered, never thrown
 * out, and the state that comes of them survives its own snapshot. Snapshots
 * themselves are read or refused.
 */
import assert from 'node:assert/strict';
import { apply } from '../../../cluster/metadata/apply.ts';
import { decodeProposal, encodeProposal } from '../../../cluster/metadata/command-codec.ts';
import { whatIsWrong } from '../../../cluster/metadata/command-shape.ts';
import type { Command } from '../../../cluster/metadata/commands.ts';
import { PolicyMatcher } from '../../../cluster/metadata/policy-match.ts';
import { decodeSnapshot, encodeSnapshot, installRows, stateFromRows } from '../../../cluster/metadata/snapshot.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import { effectiveSettings } from '../../../node/broker/queue/arguments.ts';
import * as build from '../../cluster/builders.ts';
import { mutatedJson } from '../core/json.ts';
import { changed, type Material } from '../core/mutate.ts';
import type { Random } from '../core/random.ts';
import { REFUSED, refusedOr, type Target, words } from '../core/target.ts';
import { QUEUE_ARGUMENTS } from './samples.ts';

const COMMANDS: readonly Command[] = [
  { type: 'register-node', node: build.node() },
  build.putVhost(),
  { type: 'put-user', user: build.user(), mode: 'put' },
  { type: 'put-permission', permission: { user: 'guest', vhost: '/', configure: '.*', write: '.*', read: '.*' } },
  { type: 'put-topic-permission', permission: { user: 'guest', vhost: '/', exchange: 'x', write: 'a', read: 'b' } },
  { type: 'declare-exchange', exchange: build.exchange({ isAutoDelete: true }) },
  { type: 'declare-queue', queue: build.queue({ arguments: QUEUE_ARGUMENTS }), nodeId: build.NODE_ID },
  {
    type: 'declare-queue',
    queue: build.queue({
      name: 'own',
      isExclusive: true,
      owner: { nodeId: build.NODE_ID, incarnation: 1, connectionId: 'c' },
    }),
    nodeId: build.NODE_ID,
  },
  { type: 'declare-binding', binding: build.binding({ arguments: QUEUE_ARGUMENTS }) },
  {
    type: 'put-policy',
    policy: build.policy({ definition: { 'max-length': 5, overflow: 'drop-head' } }),
    isOperator: false,
  },
  {
    type: 'put-policy',
    policy: build.policy({ definition: { 'max-length': 3 }, applyTo: 'queues' }),
    isOperator: true,
  },
  { type: 'put-parameter', parameter: { component: 'c', vhost: '/', name: 'n', value: { any: ['thing', null] } } },
  { type: 'batch-part', batchId: `${build.NODE_ID}/1`, part: 0, commands: [build.putVhost({ name: 'v' })] },
  { type: 'batch-commit', batchId: `${build.NODE_ID}/1`, parts: 1 },
  { type: 'batch', commands: [build.putVhost({ name: 'w' }), { type: 'delete-vhost', name: 'none' }] },
  { type: 'delete-binding', binding: build.binding({ arguments: QUEUE_ARGUMENTS }) },
  { type: 'end-connection', nodeId: build.NODE_ID, connectionId: 'c' },
  { type: 'delete-queue', vhost: '/', name: 'q', id: null },
  { type: 'delete-exchange', vhost: '/', name: 'x', ifUnused: true },
  { type: 'delete-user', name: 'guest' },
  { type: 'delete-vhost', name: '/' },
  { type: 'set-cluster-name', name: 'rabbit@elsewhere' },
];
const FOUND: Command = { type: 'found-cluster', clusterId: 'id', name: 'rabbit@one', defaults: COMMANDS.slice(0, 3) };
const LINES = COMMANDS.map((command, number) => proposal(command, number).slice(1));
const NAMES = ['type', 'vhost', 'name', 'queue', 'commands', 'arguments', 'owner', 'id', '__proto__', 't', 'v'];
const RAW: Material = {
  corpus: LINES.map((line) => Buffer.from(line)),
  dictionary: words('"', '{', '[', ',', '\\'),
  bytesMax: 60_000,
};
const COMMANDS_MAX = 12;

function proposal(command: Command, number: number): string {
  return encodeProposal({ nodeId: build.NODE_ID, incarnation: 1, number, command });
}

function stateOf(commands: readonly Command[]): MetadataState {
  const state = new MetadataState();
  for (const [number, command] of commands.entries()) apply(state, command, number + 1);
  return state;
}

/** A run of the log: most lines as they are, one or two changed. */
function generate(random: Random): Buffer {
  const first = random.below(LINES.length);
  const count = 1 + random.below(COMMANDS_MAX);
  const lines = LINES.slice(first, first + count).map((line) =>
    random.oneIn(3) ? mutatedJson(random, [line], NAMES, RAW) : Buffer.from(line),
  );
  return Buffer.concat(lines.flatMap((line) => [Buffer.from('1'), line, Buffer.from('\n')]));
}

function isPlainError(error: unknown): boolean {
  return error instanceof SyntaxError || (error instanceof Error && error.constructor === Error);
}

function check(input: Buffer): number {
  const state = stateOf([FOUND]);
  let applied = 0;
  for (const [number, line] of input.toString().split('\n').entries()) {
    const decoded = refusedOr(() => decodeProposal(line), isPlainError);
    if (decoded === null) continue;
    const wrong = whatIsWrong(decoded.command);
    const { reply, changes } = apply(state, decoded.command, number + 2);
    if (wrong !== null) assert.deepEqual([reply, changes], [{ type: 'refused', reason: wrong }, []]);
    if (reply.type === 'ok' || reply.type === 'created') applied++;
  }
  const snapshot = encodeSnapshot(state);
  const rows = decodeSnapshot(snapshot);
  const again = stateFromRows(rows);
  assert.equal(sorted(encodeSnapshot(again)), sorted(snapshot), 'a state is what its snapshot says');
  assert.equal(again.lastQueueId, state.lastQueueId, 'no id of a queue is given twice');
  checkPolicies(state);
  return applied === 0 ? REFUSED : snapshot.length;
}

function sorted(snapshot: string): string {
  return snapshot.split('\n').sort().join('\n');
}

/** Whatever a policy says: it applies or not, and settings come of it. */
function checkPolicies(state: MetadataState): void {
  const matcher = new PolicyMatcher(state.rows('policies'), state.rows('operatorPolicies'));
  for (const queue of state.rows('queues')) {
    const { definition } = matcher.effectivePolicy({ kind: 'queue', type: queue.type, name: queue.name });
    const settings = effectiveSettings(queue, definition);
    assert.ok(settings.maxLength === null || Number.isFinite(settings.maxLength), 'a limit is a number');
  }
}

export const commands: Target = {
  name: 'commands',
  claim: 'a command from the log is applied or answered, never thrown out, and the state survives its own snapshot',
  casesInTests: 7000,
  corpus: RAW.corpus,
  dictionary: RAW.dictionary,
  bytesMax: 200_000,
  generate,
  growth: { factor: 8, constant: 6000 },
  check,
};

const SNAPSHOTS = [
  encodeSnapshot(stateOf([FOUND])),
  encodeSnapshot(stateOf([FOUND, ...COMMANDS.slice(0, 13)])),
  encodeSnapshot(new MetadataState()),
];
const SNAPSHOT_MATERIAL: Material = {
  corpus: SNAPSHOTS.map((text) => Buffer.from(text)),
  dictionary: words('null', '"', '\n', '["machine","lastQueueId","x"]\n', '["queues","k","null"]\n', '[]'),
  bytesMax: 20_000,
};

function checkSnapshot(input: Buffer): number {
  const state = refusedOr(() => stateFromRows(decodeSnapshot(input.toString())), isPlainError);
  if (state === null) return REFUSED;
  assert.ok(Number.isSafeInteger(state.lastQueueId), 'the next queue gets a number');
  const text = encodeSnapshot(state);
  const other = stateOf([FOUND]);
  installRows(other, decodeSnapshot(text));
  assert.equal(sorted(encodeSnapshot(other)), sorted(text), 'a snapshot that is installed says the same');
  return text.length;
}

export const snapshots: Target = {
  name: 'snapshots',
  claim: 'a snapshot is read or refused with an Error that says why, and what was read says the same',
  casesInTests: 15_000,
  ...SNAPSHOT_MATERIAL,
  generate: (random) => changed(random, random.pick(SNAPSHOT_MATERIAL.corpus), SNAPSHOT_MATERIAL),
  growth: { factor: 3, constant: 600 },
  check: checkSnapshot,
};
