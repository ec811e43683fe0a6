/**
 * The contract of message stores, on each of them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { MemoryMessageStore } from '../../storage/memory-message-store.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import { messageStoreContract } from './message-store-contract.ts';
import { DATABASE_OPTIONS, Events, Space, turnQueue } from './support.ts';

messageStoreContract('memory', async () => {
  const store = new MemoryMessageStore(turnQueue());
  return { store, close: () => store.close() };
});

messageStoreContract('simulated disk', async () => {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const events = new Events();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  return {
    store,
    close: async () => {
      await store.close();
      if (events.fatal[0] !== undefined) throw events.fatal[0];
    },
  };
});

messageStoreContract('LevelDB', async () => {
  const path = await mkdtemp(join(tmpdir(), 'warren-store-'));
  const kv = await LevelDatabase.open(path, { writeBufferBytes: 1024 * 1024, createIfMissing: true });
  const events = new Events();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  return {
    store,
    close: async () => {
      await store.close();
      await rm(path, { recursive: true });
      if (events.fatal[0] !== undefined) throw events.fatal[0];
    },
  };
});
