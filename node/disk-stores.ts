/**
 * Opens the data directory of a node and both stores in it.
 *
 * Faults of either end the node (`options.onFatal`). A full disk is told to
 * whoever asked with `tellSpace`, once however many stores have met it; the
 * metadata log is told its own part too. Loaded by `stores` when there is a
 * data directory: LevelDB comes with it.
 */
import { canBeLost, queueNames, rowsLeftBehind } from '../cluster/metadata/lost-rows.ts';
import type { TurnQueue } from '../proto/base/turn-queue.ts';
import { DATA_DIR_DEFAULTS, type DataDir, openDataDir } from '../storage/data-dir.ts';
import { LevelMessageStore } from '../storage/level-message-store.ts';
import { LevelRaftStore } from '../storage/level-raft-store.ts';
import type { MessageStoreEvents } from '../storage/message-store.ts';
import type { RaftStoreEvents } from '../storage/raft-store-api.ts';
import type { NodeOptions } from './node-options.ts';
import { type NodeStores, type SpaceListener, withRemedy } from './stores.ts';

/** The reserve file is written behind the start and its first messages, which need the disk. */
const RESERVE_AFTER_MS = 1000;

/** @throws DamageError, DatabaseLocked, or what the disk says */
export async function openDiskStores(options: NodeOptions, turn: TurnQueue): Promise<NodeStores> {
  const { dataDir: path, acceptDamage } = options.config.values;
  const dataDir = await openDataDir(path, { ...DATA_DIR_DEFAULTS, acceptDamage, hasReserve: false });
  try {
    return await openIn(dataDir, options, turn);
  } catch (error) {
    await closeAll(dataDir); // a fault or damage: nothing may stay locked
    throw error;
  }
}

async function openIn(dataDir: DataDir, options: NodeOptions, turn: TurnQueue): Promise<NodeStores> {
  const { acceptDamage } = options.config.values;
  const { writeBufferBytes } = DATA_DIR_DEFAULTS;
  let names: ReadonlyMap<number, string> = new Map();
  const onLoss = (text: string, queueId: number | null): void => {
    const name = queueId === null ? undefined : names.get(queueId);
    options.log.error(`damage accepted: ${text}${name === undefined ? '' : ` (queue ${name})`}`);
  };
  for (const text of dataDir.accepted) onLoss(text, null);
  const reserve = setTimeout(() => void dataDir.messagesSpace.prepare(), RESERVE_AFTER_MS);
  const space = new FullDisk();
  const messageEvents: MessageStoreEvents = {
    onFatal: (error) => options.onFatal(withRemedy(error, acceptDamage)),
    onNoSpace: (error) => space.begin('messages', error),
    onSpaceBack: () => space.end('messages'),
  };
  let raftListener: RaftStoreEvents | null = null;
  const raftEvents: RaftStoreEvents = {
    onFatal: (error) => (raftListener === null ? options.onFatal(error) : raftListener.onFatal(error)),
    onNoSpace: (error) => {
      raftListener?.onNoSpace(error);
      space.begin('raft', error);
    },
    onSpaceBack: () => {
      raftListener?.onSpaceBack();
      space.end('raft');
    },
  };
  const damage = { writeBufferBytes, acceptDamage, onLoss };
  const raftOptions = { ...damage, name: 'raft' };
  const raft = await LevelRaftStore.open(dataDir.raft, turn, raftEvents, dataDir.raftSpace, raftOptions, canBeLost);
  if (acceptDamage) {
    dropLeftBehind(raft, onLoss);
    names = queueNames(raft.loadedRows);
  }
  const database = options.testing?.wrapDatabase?.(dataDir.messages) ?? dataDir.messages;
  const messageOptions = { ...damage, name: 'messages' };
  const messages = await LevelMessageStore.open(
    database,
    turn,
    messageEvents,
    dataDir.messagesSpace,
    messageOptions,
    dataDir.incarnation,
  );
  return {
    nodeId: dataDir.diskId,
    incarnation: dataDir.incarnation,
    dataDir: dataDir.path,
    writeBufferBytes,
    messages,
    raft,
    tellRaftFaults: (events) => {
      raftListener = events;
    },
    tellSpace: (listener) => space.tell(listener),
    close: async () => {
      clearTimeout(reserve);
      await messages.close();
      await raft.close();
      await dataDir.messagesSpace.whenIdle();
      await dataDir.unlock();
    },
  };
}

async function closeAll(dataDir: DataDir): Promise<void> {
  dataDir.messagesSpace.stop();
  dataDir.raftSpace.stop();
  for (const database of [dataDir.messages, dataDir.raft]) {
    await new Promise<void>((resolve) => database.close(() => resolve()));
  }
  await dataDir.unlock();
}

/** Rows that refer to rows which are lost go with them. */
function dropLeftBehind(raft: LevelRaftStore, onLoss: (text: string, queueId: null) => void): void {
  const rows = rowsLeftBehind(raft.loadedRows);
  if (rows.length === 0) return;
  raft.dropRows(rows);
  for (const { table, key, why } of rows) onLoss(`metadata: the row ${key} of ${table} goes too: ${why}`, null);
}

/** Two stores on one disk: full when one of them has found it so, over when both go on. */
class FullDisk {
  private readonly stores = new Set<string>();
  private listener: SpaceListener | null = null;
  private error: Error | null = null;

  tell(listener: SpaceListener): void {
    this.listener = listener;
    if (this.error !== null) listener.onNoSpace(this.error);
  }

  begin(store: string, error: Error): void {
    this.stores.add(store);
    if (this.error !== null) return;
    this.error = error;
    this.listener?.onNoSpace(error);
  }

  end(store: string): void {
    this.stores.delete(store);
    if (this.stores.size > 0 || this.error === null) return;
    this.error = null;
    this.listener?.onSpaceBack();
  }
}
