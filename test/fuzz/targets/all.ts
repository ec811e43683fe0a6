/** Every target of the parsers, in the order of a message's way: wire, storage, metadata, configuration, admin. */
import type { Target } from '../core/target.ts';
import { adminRequests } from './admin.ts';
import { argumentTables } from './arguments.ts';
import { classic, commandLines, conf, settings } from './config.ts';
import { definitions } from './definitions.ts';
import { entries } from './entries.ts';
import { frames, largeFrames } from './frames.ts';
import { levelBlocks, levelFiles } from './level-files.ts';
import { messageRows } from './message-rows.ts';
import { commands, snapshots } from './metadata.ts';
import { methods } from './methods.ts';
import { patterns, topics } from './patterns.ts';
import { linkMessages, peerStreams } from './peer.ts';
import { properties } from './properties.ts';
import { replicationFrames } from './replication.ts';
import { numbers, pages, queueStates, raftRows } from './storage.ts';
import { tables } from './tables.ts';

export const targets: readonly Target[] = [
  frames,
  largeFrames,
  methods,
  tables,
  properties,
  entries,
  numbers,
  queueStates,
  pages,
  messageRows,
  raftRows,
  levelFiles,
  levelBlocks,
  commands,
  snapshots,
  definitions,
  conf,
  settings,
  classic,
  commandLines,
  patterns,
  topics,
  argumentTables,
  adminRequests,
  linkMessages,
  peerStreams,
  replicationFrames,
];
