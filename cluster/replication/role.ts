/**
 * What the applied metadata say of one queue's replicas, as replication is told
 * it. Pure data: who gives it knows the metadata, this folder does not.
 */
export interface ReplicaRole {
  readonly nodeId: string;
  /** Version of the record at which it was added (rule 15). */
  readonly assignment: number;
  /** Registered for its node. */
  readonly incarnation: number;
  /** Counts for the floor. */
  readonly isDisc: boolean;
}

export interface QueueRole {
  readonly epoch: number;
  /** '' while the leadership is vacant (rule 37). */
  readonly leader: string;
  /** +1 with each accepted change of the record (rule 10). */
  readonly version: number;
  readonly replicas: readonly ReplicaRole[];
  readonly inSync: readonly string[];
  /** Members that have restarted and may have lost transient messages (rule 19). */
  readonly marked: readonly string[];
  /** Fewest disc members that a shrink may leave (rule 11). */
  readonly minInSync: number;
  /** `ha-promote-on-failure: always`: a replica that is not in sync may lead when nobody else seems to be alive. */
  readonly isUncleanAllowed: boolean;
  /** Index in the metadata log at which this record, or what it says of the nodes, last changed (rule 16). */
  readonly changedAt: number;
  /** Index up to which this node has applied the metadata. */
  readonly metadataIndex: number;
}

export function replicaOf(role: QueueRole, nodeId: string): ReplicaRole | null {
  for (const replica of role.replicas) if (replica.nodeId === nodeId) return replica;
  return null;
}
