/**
 * What a node keeps, and who opens it: the message store and the store of the
 * metadata log, on disk in the data directory or in memory only.
 *
 * LevelDB is loaded when a data directory is opened, so that a broker that
 * keeps nothing does not pay for it.
 */
import { randomBytes } from 'node:crypto';
import type { TurnQueue } from '../proto/base/turn-queue.ts';
import { DamageError, type Remedy } from '../storage/key-value.ts';
import { MemoryMessageStore } from '../storage/memory-message-store.ts';
import { MemoryRaftStore } from '../storage/memory-raft-store.ts';
import type { MessageStore } from '../storage/message-store.ts';
import type { RaftStore, RaftStoreEvents } from '../storage/raft-store-api.ts';
import type { NodeOptions } from './node-options.ts';
import { StartError } from './node-options.ts';

const REMEDIES: Readonly<Record<Remedy, string>> = {
  accept: '--accept-damage starts without what is lost',
  try: '--accept-damage starts without what is lost, if the rest is enough',
  restore:
    'nothing starts without it: put a backup of the whole directory in its place, or move it away, start anew and import the definitions',
};

export interface SpaceListener {
  onNoSpace(error: Error): void;
  onSpaceBack(): void;
}

export interface NodeStores {
  /** The disk id: who this member is. */
  readonly nodeId: string;
  readonly incarnation: number;
  /** Null for a node that keeps nothing. */
  readonly dataDir: string | null;
  readonly writeBufferBytes: number;
  readonly messages: MessageStore;
  readonly raft: RaftStore;
  /** Who is told of faults of the metadata log from now on. */
  tellRaftFaults(events: RaftStoreEvents): void;
  tellSpace(listener: SpaceListener): void;
  /** Writes what is pending and closes: messages first, they refer to the metadata. */
  close(): Promise<void>;
}

/** @throws StartError with one line that says what to do */
export async function openStores(options: NodeOptions, turn: TurnQueue): Promise<NodeStores> {
  if (options.config.values.isEphemeral) return memoryStores(turn);
  const { openDiskStores } = await import('./disk-stores.ts');
  try {
    return await openDiskStores(options, turn);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // A fault: disk, damage, or another process there.
    throw new StartError(withRemedy(error, options.config.values.acceptDamage).message, error);
  }
}

/** The same error, with what to do about it where that is known. */
export function withRemedy(error: Error, isDamageAccepted: boolean): Error {
  if (!(error instanceof DamageError)) return error;
  const remedy = isDamageAccepted ? 'restore' : error.remedy;
  return new Error(`${error.message}; ${REMEDIES[remedy]}`, { cause: error });
}

function memoryStores(turn: TurnQueue): NodeStores {
  return {
    nodeId: randomBytes(16).toString('hex'),
    incarnation: 1,
    dataDir: null,
    writeBufferBytes: 0,
    messages: new MemoryMessageStore(turn),
    raft: new MemoryRaftStore(turn),
    tellRaftFaults: () => {},
    tellSpace: () => {},
    close: () => Promise.resolve(),
  };
}
