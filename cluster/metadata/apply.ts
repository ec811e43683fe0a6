/**
 * The metadata state machine: a committed command goes in, its reply and the
 * changes it made come out, the same on every node.
 *
 * A command that can't be done is answered, never thrown: it is in the log for
 * good, and a node that could not get past it could never start again.
 * Commands of many parts, and those that remove much, are applied in steps, see
 * `BatchApplication` and `RemovalApplication`; `apply` runs all steps at once.
 *
 * Source: KRaft's controller (decide, record, replay), docs/architecture.
 */

import { BatchApplication, type SimpleCommand } from './apply-batch.ts';
import { declareBinding, deleteBinding } from './apply-binding.ts';
import { declareExchange, deleteExchange } from './apply-exchange.ts';
import { nodeDown, nodeUp, registerNode, removeNode } from './apply-node.ts';
import { deleteParameter, deletePolicy, putParameter, putPolicy } from './apply-policy.ts';
import { declareQueue, deleteQueue, endConnection } from './apply-queue.ts';
import { type Removal, RemovalApplication, removeAtOnce } from './apply-removal.ts';
import { alterInSync, moveLeader, promoteReplica, setReplicas } from './apply-replication.ts';
import {
  deletePermission,
  deleteTopicPermission,
  deleteUser,
  putPermission,
  putTopicPermission,
  putUser,
} from './apply-user.ts';
import { deleteVhost, putVhost } from './apply-vhost.ts';
import { whatIsWrong } from './command-shape.ts';
import type { Command, CommandReply } from './commands.ts';
import type { Change } from './definitions.ts';
import { toJson } from './json-text.ts';
import { CLUSTER_KEY } from './keys.ts';
import type { MetadataState } from './state.ts';

export interface Applied {
  readonly reply: CommandReply;
  /** In order; empty when nothing was done. */
  readonly changes: readonly Change[];
}

/** Rows that one command removes in one go. */
export const ROWS_AT_ONCE_MAX = 100;

/** What needs many steps. */
export type SteppedApplication = BatchApplication | RemovalApplication;

/**
 * Begins `command`: what needs one step is done at once, what needs many comes back as their application, the first of
 * which may be done.
 */
export function begin(state: MetadataState, command: Command, index: number): Applied | SteppedApplication {
  const wrong = whatIsWrong(command);
  if (wrong !== null) return refusedWith(wrong);
  switch (command.type) {
    case 'found-cluster':
      return foundCluster(state, command, index);
    case 'batch':
      return new BatchApplication(state, [command.commands], index, applySimple);
    case 'batch-commit':
      return commitBatch(state, command, index);
    case 'batch-part': {
      const text = toJson(command.commands);
      const refusal = state.batchParts.put(command.batchId, command.part, text);
      return refusal === null ? { reply: { type: 'ok' }, changes: [] } : refusedWith(refusal);
    }
    case 'batch-abort': {
      const isKnown = state.batchParts.drop(command.batchId);
      return {
        reply: isKnown ? { type: 'ok' } : { type: 'not-found', what: `batch '${command.batchId}'` },
        changes: [],
      };
    }
    case 'delete-vhost':
    case 'delete-exchange':
    case 'delete-queue':
    case 'delete-binding':
    case 'end-connection':
      return beginRemoval(state, removalOf(state, command));
    default:
      return { reply: applySimple(state, command, index), changes: state.takeChanges() };
  }
}

/** Applies `command` as a whole. */
export function apply(state: MetadataState, command: Command, index: number): Applied {
  const begun = begin(state, command, index);
  if (!isStepped(begun)) return begun;
  while (!begun.step(1000)) {
    // all at once
  }
  return begun.applied;
}

export function isStepped(begun: Applied | SteppedApplication): begun is SteppedApplication {
  return begun instanceof BatchApplication || begun instanceof RemovalApplication;
}

type RemovingCommand = Extract<
  SimpleCommand,
  { type: 'delete-vhost' | 'delete-exchange' | 'delete-queue' | 'delete-binding' | 'end-connection' }
>;

function beginRemoval(state: MetadataState, answer: Removal | CommandReply): Applied | RemovalApplication {
  if ('type' in answer) return { reply: answer, changes: [] };
  const application = new RemovalApplication(state, answer);
  return application.step(ROWS_AT_ONCE_MAX) ? application.applied : application;
}

function removalOf(state: MetadataState, command: RemovingCommand): Removal | CommandReply {
  switch (command.type) {
    case 'delete-vhost':
      return deleteVhost(state, command.name);
    case 'delete-exchange':
      return deleteExchange(state, command.vhost, command.name, { ifUnused: command.ifUnused });
    case 'delete-queue':
      return deleteQueue(state, command.vhost, command.name, command.id);
    case 'delete-binding':
      return deleteBinding(state, command.binding);
    case 'end-connection':
      return endConnection(state, command.nodeId, command.connectionId);
  }
}

function applySimple(state: MetadataState, command: SimpleCommand, index: number): CommandReply {
  switch (command.type) {
    case 'register-node':
      return registerNode(state, command.node, index);
    case 'node-down':
      return nodeDown(state, command.nodeId, command.incarnation);
    case 'node-up':
      return nodeUp(state, command.nodeId, command.incarnation);
    case 'remove-node':
      return removeNode(state, command.nodeId);
    case 'put-vhost':
      return putVhost(state, command.vhost, index);
    case 'put-user':
      return putUser(state, command.user, command.mode, index);
    case 'delete-user':
      return deleteUser(state, command.name);
    case 'put-permission':
      return putPermission(state, command.permission, index);
    case 'delete-permission':
      return deletePermission(state, command.user, command.vhost);
    case 'put-topic-permission':
      return putTopicPermission(state, command.permission, index);
    case 'delete-topic-permission':
      return deleteTopicPermission(state, command.user, command.vhost, command.exchange);
    case 'declare-exchange':
      return declareExchange(state, command.exchange, index);
    case 'declare-queue':
      return declareQueue(state, command.queue, command.nodeId, command.placement ?? null, index);
    case 'alter-in-sync':
      return alterInSync(state, command);
    case 'set-replicas':
      return setReplicas(state, command);
    case 'move-leader':
      return moveLeader(state, command);
    case 'promote-replica':
      return promoteReplica(state, command);
    case 'declare-binding':
      return declareBinding(state, command.binding, index);
    case 'delete-vhost':
    case 'delete-exchange':
    case 'delete-queue':
    case 'delete-binding':
    case 'end-connection':
      return removeAtOnce(removalOf(state, command));
    case 'put-policy':
      return putPolicy(state, command.policy, command.isOperator, index);
    case 'delete-policy':
      return deletePolicy(state, command.vhost, command.name, command.isOperator);
    case 'put-parameter':
      return putParameter(state, command.parameter, index);
    case 'delete-parameter':
      return deleteParameter(state, command.component, command.vhost, command.name);
    case 'set-cluster-name':
      return setClusterName(state, command.name);
  }
}

function foundCluster(
  state: MetadataState,
  command: Extract<Command, { type: 'found-cluster' }>,
  index: number,
): Applied | BatchApplication {
  const cluster = state.get('cluster', CLUSTER_KEY);
  if (cluster !== null) return refusedWith(`the cluster was founded before, with id ${cluster.clusterId}`);
  const application = new BatchApplication(state, [command.defaults], index, applySimple);
  state.put('cluster', { clusterId: command.clusterId, name: command.name });
  return application;
}

function commitBatch(
  state: MetadataState,
  command: Extract<Command, { type: 'batch-commit' }>,
  index: number,
): Applied | BatchApplication {
  const texts = state.batchParts.collect(command.batchId, command.parts);
  state.batchParts.drop(command.batchId);
  if (typeof texts === 'number') {
    return refusedWith(`batch '${command.batchId}' has no part ${texts}, expected parts 0 to ${command.parts - 1}`);
  }
  return new BatchApplication(state, texts, index, applySimple);
}

function setClusterName(state: MetadataState, name: string): CommandReply {
  const cluster = state.get('cluster', CLUSTER_KEY);
  if (cluster === null) return { type: 'not-found', what: 'cluster' };
  state.put('cluster', { clusterId: cluster.clusterId, name });
  return { type: 'ok' };
}

function refusedWith(reason: string): Applied {
  return { reply: { type: 'refused', reason }, changes: [] };
}
