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

export type Command =
  /** First command of a cluster's life: cluster id, default vhost with its exchanges, default user (only when the log is empty). */
  | {
      readonly type: 'found-cluster';
      readonly clusterId: string;
      readonly name: string;
      readonly defaults: readonly Command[];
    }
  /** At each start, with a higher incarnation: ends what belonged to the former one, raises epochs of the queues it leads. */
  | { readonly type: 'register-node'; readonly node: NodeDefinition }
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
  /** id, leader and epoch of `queue` are ignored: apply gives them (leader = proposer's node). */
  | { readonly type: 'declare-queue'; readonly queue: QueueDefinition; readonly nodeId: string }
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
