/**
 * The commands of the metadata state machine and their replies. A command is a
 * JSON object; on disk and wire it is preceded by a format version.
 *
 * Checks that need only the metadata are made in `apply`, where all nodes agree;
 * checks of form (argument types, permissions) are made before by whoever
 * proposes. Where something to be declared is already there the reply says so
 * (`exists`) and names it: the proposer judges whether it is equivalent.
 */
import type {
  BindingDefinition,
  ExchangeDefinition,
  NodeDefinition,
  ParameterDefinition,
  PermissionDefinition,
  PolicyDefinition,
  QueueDefinition,
  TopicPermissionDefinition,
  UserDefinition,
  VhostDefinition,
} from './definitions.ts';

/** A queue by name and id: declared again meanwhile it is another one. */
export interface QueueRef {
  readonly vhost: string;
  readonly name: string;
  readonly id: number;
}

/** Where a new queue goes, as its proposer has worked it out; null: on one node. Named are nodes, the leader first. */
export interface Placement {
  readonly replicas: readonly string[];
  readonly minInSync: number;
  readonly promoteOnFailure: 'when-synced' | 'always';
}

/** By the leader: who holds everything now. `epoch` and `version` are those it was decided on (rule 10). */
export interface AlterInSync {
  readonly type: 'alter-in-sync';
  readonly queue: QueueRef;
  readonly epoch: number;
  readonly version: number;
  readonly inSync: readonly string[];
  /** Members that have restarted and are not complete yet: none that was not marked before. */
  readonly marked: readonly string[];
  /** Of each member that was not in the set, or was marked: the life and the assignment that answered (rules 12, 15). */
  readonly added: readonly { readonly nodeId: string; readonly incarnation: number; readonly assignment: number }[];
}

/** By the controller, as policies and nodes change: who has a copy. `version` 0 for a queue without a record. */
export interface SetReplicas {
  readonly type: 'set-replicas';
  readonly queue: QueueRef;
  readonly version: number;
  readonly replicas: readonly string[];
  readonly minInSync: number;
  readonly promoteOnFailure: 'when-synced' | 'always';
}

/** A handover in good order. */
export interface MoveLeader {
  readonly type: 'move-leader';
  readonly queue: QueueRef;
  readonly epoch: number;
  readonly version: number;
  readonly to: string;
}

/** By the controller, for a queue whose leadership is vacant: the best of those who reported (rules 37, 38). */
export interface PromoteReplica {
  readonly type: 'promote-replica';
  readonly queue: QueueRef;
  readonly epoch: number;
  readonly version: number;
  readonly to: string;
  readonly incarnation: number;
}

export type ReplicationCommand = AlterInSync | SetReplicas | MoveLeader | PromoteReplica;

export type Command =
  | ReplicationCommand
  /** First command of a cluster's life: cluster id, default vhost with its exchanges, default user (only when the log is empty). */
  | {
      readonly type: 'found-cluster';
      readonly clusterId: string;
      readonly name: string;
      readonly defaults: readonly Command[];
    }
  /** At each start, with a higher incarnation: ends what belonged to the former one, raises epochs of the queues it leads. */
  | { readonly type: 'register-node'; readonly node: NodeDefinition }
  /** By the controller: that life of the node is held for dead, or is heard of again. */
  | { readonly type: 'node-down'; readonly nodeId: string; readonly incarnation: number }
  | { readonly type: 'node-up'; readonly nodeId: string; readonly incarnation: number }
  /** It is no member any more and never will be again: what it owned and led goes or is led elsewhere. */
  | { readonly type: 'remove-node'; readonly nodeId: string }
  /** Creates the vhost with its predeclared exchanges, or updates it. */
  | { readonly type: 'put-vhost'; readonly vhost: VhostDefinition }
  /** With everything in it: exchanges, queues, bindings, policies, permissions, parameters. */
  | { readonly type: 'delete-vhost'; readonly name: string }
  | { readonly type: 'put-user'; readonly user: UserDefinition; readonly mode: 'create' | 'update' | 'put' }
  | { readonly type: 'delete-user'; readonly name: string }
  | { readonly type: 'put-permission'; readonly permission: PermissionDefinition }
  | { readonly type: 'delete-permission'; readonly user: string; readonly vhost: string }
  | { readonly type: 'put-topic-permission'; readonly permission: TopicPermissionDefinition }
  /** exchange null: all of that user in that vhost. */
  | {
      readonly type: 'delete-topic-permission';
      readonly user: string;
      readonly vhost: string;
      readonly exchange: string | null;
    }
  | { readonly type: 'declare-exchange'; readonly exchange: ExchangeDefinition }
  /** Deletes its bindings too, and exchanges that auto-delete because of it. */
  | { readonly type: 'delete-exchange'; readonly vhost: string; readonly name: string; readonly ifUnused: boolean }
  /** id, leader, epoch and replication of `queue` are ignored: apply gives them (leader = `nodeId`, or the first of `placement`). */
  | {
      readonly type: 'declare-queue';
      readonly queue: QueueDefinition;
      readonly nodeId: string;
      readonly placement?: Placement | null;
    }
  /** By id when `id` is not null: a queue declared again meanwhile is another one. */
  | { readonly type: 'delete-queue'; readonly vhost: string; readonly name: string; readonly id: number | null }
  /** Exclusive queues of a connection that ended. */
  | { readonly type: 'end-connection'; readonly nodeId: string; readonly connectionId: string }
  | { readonly type: 'declare-binding'; readonly binding: BindingDefinition }
  /** Deletes an auto-delete source exchange with its last binding. */
  | { readonly type: 'delete-binding'; readonly binding: BindingDefinition }
  | { readonly type: 'put-policy'; readonly policy: PolicyDefinition; readonly isOperator: boolean }
  | { readonly type: 'delete-policy'; readonly vhost: string; readonly name: string; readonly isOperator: boolean }
  | { readonly type: 'put-parameter'; readonly parameter: ParameterDefinition }
  | { readonly type: 'delete-parameter'; readonly component: string; readonly vhost: string; readonly name: string }
  | { readonly type: 'set-cluster-name'; readonly name: string }
  /**
   * A large all-or-none change comes in parts (each at most about 256 KiB), numbered from 0, then takes effect as one.
   * `batchId` begins with the sender's node id and a slash: what it leaves unfinished goes when that node registers again.
   */
  | {
      readonly type: 'batch-part';
      readonly batchId: string;
      readonly part: number;
      readonly commands: readonly Command[];
    }
  | { readonly type: 'batch-commit'; readonly batchId: string; readonly parts: number }
  | { readonly type: 'batch-abort'; readonly batchId: string }
  /** Small ones in one. */
  | { readonly type: 'batch'; readonly commands: readonly Command[] };

export type CommandReply =
  | { readonly type: 'ok' }
  /** `index` of the command; for a queue its id (the same, or above it where one batch declares several). */
  | { readonly type: 'created'; readonly index: number }
  /** It was there already: judge equivalence against this. */
  | {
      readonly type: 'exists';
      readonly existing: ExchangeDefinition | QueueDefinition | BindingDefinition | VhostDefinition | UserDefinition;
    }
  /** `what` is a noun as RabbitMQ words it: `queue 'q' in vhost '/'`, `exchange 'x' in vhost '/'`, `user 'u'`. */
  | { readonly type: 'not-found'; readonly what: string }
  | { readonly type: 'in-use' }
  /** Declined, with a text for people (limit reached, reserved, invalid). */
  | { readonly type: 'refused'; readonly reason: string }
  /** A batch failed: nothing of it was kept. `at` is the place of the command that did not go through. */
  | { readonly type: 'batch-refused'; readonly at: number; readonly reply: CommandReply };
