/**
 * How the node reads and changes the metadata: reads come from the local copy,
 * at once; changes are proposed to the log and answered when they are applied.
 *
 * One path for AMQP, definitions, the admin service and later the cluster.
 */
import type { Command, CommandReply } from './metadata/commands.ts';
import type { Change, MetadataTables, TableName } from './metadata/definitions.ts';

export interface MetadataView {
  get<T extends TableName>(table: T, key: string): MetadataTables[T] | null;
  /** Live view in insertion order; do not change the metadata while iterating over await points. */
  rows<T extends TableName>(table: T): IterableIterator<MetadataTables[T]>;
  size(table: TableName): number;
  /** Bindings of one source exchange / one destination, without a walk over all. */
  bindingsFrom(vhost: string, source: string): Iterable<MetadataTables['bindings']>;
  bindingsTo(vhost: string, kind: 'queue' | 'exchange', destination: string): Iterable<MetadataTables['bindings']>;
  /** Queues / exchanges of one vhost, without a walk over all. */
  queuesOf(vhost: string): Iterable<MetadataTables['queues']>;
  exchangesOf(vhost: string): Iterable<MetadataTables['exchanges']>;
  queueCount(vhost: string): number;
}

export interface MetadataListener {
  /** After each applied command, synchronously, in log order. `index` is the command's. */
  onChanges(changes: readonly Change[], index: number): void;
}

export interface MetadataClient {
  readonly view: MetadataView;
  /** Index of the last applied command. */
  readonly appliedIndex: number;
  /**
   * Proposes `command` and resolves when it has been applied here, after the listeners have seen its changes.
   * An expected refusal (already exists, in use, limit) is a reply, not an exception.
   * @throws MetadataUnavailable when the log cannot take changes now (no majority, disk full, stopping).
   */
  propose(command: Command): Promise<CommandReply>;
  subscribe(listener: MetadataListener): void;
}

export class MetadataUnavailable extends Error {
  /** It may have been done, or be done yet. False: it was not and will not be. */
  readonly mayTakeEffect: boolean;

  constructor(reason: string, mayTakeEffect = false) {
    super(reason);
    this.name = 'MetadataUnavailable';
    this.mayTakeEffect = mayTakeEffect;
  }
}
