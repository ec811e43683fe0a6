/**
 * Proposes one command and turns replies that are no success into refusals.
 * Shared by all operations that change metadata.
 */

import type { Command, CommandReply } from '../../cluster/metadata/commands.ts';
import { type MetadataClient, MetadataUnavailable } from '../../cluster/metadata-client.ts';
import { AdminRefusal } from './operations.ts';

/** @throws AdminRefusal unavailable when the log takes no changes now, invalid for a refused command. */
export async function propose(metadata: MetadataClient, command: Command): Promise<CommandReply> {
  let reply: CommandReply;
  try {
    reply = await metadata.propose(command);
  } catch (error) {
    if (error instanceof MetadataUnavailable) throw new AdminRefusal('unavailable', error.message);
    throw error;
  }
  if (reply.type === 'refused') throw new AdminRefusal('invalid', reply.reason);
  return reply;
}
