/**
 * What an operator may ask of a node, in no transport's words: served over
 * gRPC to warrenctl, later over HTTP. Small groups, so that a test or another
 * front brings only what it needs.
 *
 * Control plane: promises, `AdminRefusal` for what is declined.
 */

export type AdminRefusalKind =
  | 'no-user'
  | 'no-vhost'
  | 'no-queue'
  | 'exists'
  | 'in-use'
  | 'not-empty'
  | 'invalid'
  | 'bad-columns'
  | 'bad-definitions'
  | 'bad-policy'
  | 'no-parameter'
  | 'no-node'
  | 'node-running'
  | 'unavailable';

/** The text is what rabbitmqctl prints after "Error:". */
export class AdminRefusal extends Error {
  readonly kind: AdminRefusalKind;

  constructor(kind: AdminRefusalKind, text: string) {
    super(text);
    this.name = 'AdminRefusal';
    this.kind = kind;
  }
}

export interface ListenerStatus {
  readonly interface: string;
  readonly port: number;
  readonly protocol: string;
  readonly purpose: string;
}

export interface NodeStatus {
  readonly pid: number;
  readonly os: string;
  readonly uptimeSeconds: number;
  readonly nodeName: string;
  readonly rabbitmqVersion: string;
  readonly warrenVersion: string;
  readonly runtime: string;
  readonly dataDirectory: string;
  readonly configFiles: readonly string[];
  readonly alarms: readonly string[];
  readonly memoryUsedBytes: number;
  readonly memoryLimitBytes: number;
  readonly heapUsedBytes: number;
  readonly heapLimitBytes: number;
  /** -1 when unknown. */
  readonly diskFreeBytes: number;
  readonly diskLimitBytes: number;
  readonly connections: number;
  readonly queues: number;
  readonly vhosts: number;
  readonly listeners: readonly ListenerStatus[];
  readonly clusterName: string;
}

export interface NodeOperations {
  readonly name: string;
  status(): NodeStatus;
  /** Asks for the end of the process; answers at once. */
  requestStop(): void;
}

export type TableKind =
  | 'queues'
  | 'exchanges'
  | 'bindings'
  | 'connections'
  | 'channels'
  | 'consumers'
  | 'users'
  | 'vhosts'
  | 'permissions'
  | 'policies'
  | 'operator-policies';

/** Null shows as nothing. Lists and tables as rabbitmqctl prints them. */
export type Cell = string | number | boolean | null | readonly unknown[] | { readonly [name: string]: unknown };

/** Which queues are listed: of nodes that answer, of others, of the node that is asked. */
export type QueueScope = 'all' | 'online' | 'offline' | 'local';

export interface Table {
  readonly columns: readonly string[];
  /**
   * Lazy: a row is made when it is asked for, so that no list holds the event loop. Asynchronous where other nodes
   * are asked.
   */
  readonly rows: Iterable<readonly Cell[]> | AsyncIterable<readonly Cell[]>;
  /** For people: what the list lacks and why. Complete after the last row. */
  readonly notes: readonly string[];
}

export interface TableOperations {
  /**
   * @param columns none for the usual ones.
   * @param scope of queues; of no meaning for other lists
   * @throws AdminRefusal bad-columns, no-vhost
   */
  list(kind: TableKind, vhost: string, columns: readonly string[], scope: QueueScope): Table;
}

/** What a member says of itself. */
export interface MemberReport {
  readonly rabbitmqVersion: string;
  readonly warrenVersion: string;
  readonly runtime: string;
  readonly alarms: readonly string[];
  readonly listeners: readonly ListenerStatus[];
}

export interface MemberStatus {
  readonly name: string;
  readonly kind: 'disc' | 'ram';
  /** The node that is asked, or linked to it and not held for dead. */
  readonly isRunning: boolean;
  /** Null: it did not answer. */
  readonly report: MemberReport | null;
}

export interface ClusterStatus {
  readonly clusterName: string;
  /** In the order in which they joined. */
  readonly members: readonly MemberStatus[];
}

export interface ClusterOperations {
  status(): Promise<ClusterStatus>;
  /** Names of the members that run, as this node sees them. */
  runningNodes(): readonly string[];
  /** Takes a node that is down out of the cluster for good. @throws AdminRefusal no-node, node-running, unavailable */
  forget(name: string): Promise<void>;
}

export interface NewPassword {
  readonly password: string | null;
  /** RabbitMQ's base64 form, instead of a password. */
  readonly passwordHash: string | null;
}

export interface UserOperations {
  add(name: string, password: NewPassword): Promise<void>;
  delete(name: string): Promise<void>;
  changePassword(name: string, password: string): Promise<void>;
  setTags(name: string, tags: readonly string[]): Promise<void>;
  setPermissions(
    vhost: string,
    user: string,
    patterns: { readonly configure: string; readonly write: string; readonly read: string },
  ): Promise<void>;
  clearPermissions(vhost: string, user: string): Promise<void>;
}

export interface NewVhost {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly defaultQueueType: string | null;
}

export interface VhostOperations {
  add(vhost: NewVhost): Promise<void>;
  /** Switches the firehose. @throws AdminRefusal no-vhost */
  setTracing(name: string, isTracing: boolean): Promise<void>;
  delete(name: string): Promise<void>;
}

export interface NewPolicy {
  readonly vhost: string;
  readonly name: string;
  readonly pattern: string;
  /** JSON. */
  readonly definition: string;
  readonly priority: number;
  /** One of POLICY_SUBJECTS. */
  readonly applyTo: string;
}

export interface PolicyOperations {
  /** @throws AdminRefusal no-vhost, bad-policy with RabbitMQ's words */
  set(policy: NewPolicy, isOperator: boolean): Promise<void>;
  /** @throws AdminRefusal no-vhost, no-parameter */
  clear(vhost: string, name: string, isOperator: boolean): Promise<void>;
}

export interface QueueOperations {
  /** @returns how many messages went. */
  purge(vhost: string, name: string): Promise<number>;
  delete(
    vhost: string,
    name: string,
    conditions: { readonly ifEmpty: boolean; readonly ifUnused: boolean },
  ): Promise<number>;
}

export interface DefinitionOperations {
  /** RabbitMQ's definitions.json. */
  export(): string;
  /**
   * All of it or nothing, but for bindings whose exchange or queue is nowhere.
   * @returns a line for each of those; @throws AdminRefusal bad-definitions with a line per mistake.
   */
  import(json: string): Promise<readonly string[]>;
}

export interface AdminOperations {
  readonly node: NodeOperations;
  readonly cluster: ClusterOperations;
  readonly tables: TableOperations;
  readonly users: UserOperations;
  readonly vhosts: VhostOperations;
  readonly policies: PolicyOperations;
  readonly queues: QueueOperations;
  readonly definitions: DefinitionOperations;
}
