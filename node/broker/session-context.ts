/**
 * What the sessions of one broker share. Made once by `broker`, handed to every
 * session; nothing here belongs to one client.
 */
import type { Command, CommandReply } from '../../cluster/metadata/commands.ts';
import { type MetadataClient, MetadataUnavailable } from '../../cluster/metadata-client.ts';
import type { ChannelLimits } from './channel-limits.ts';
import type { EndedConnections } from './ended-connections.ts';
import type { AlarmBoard } from './front-end.ts';
import type { PublisherContext } from './publish.ts';
import { Refusal } from './refusal.ts';
import type { ReplyDirectory } from './reply-to.ts';
import type { Vhost } from './vhost.ts';

export interface SessionContext extends PublisherContext {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly metadata: MetadataClient;
  readonly replies: ReplyDirectory;
  readonly alarms: Pick<AlarmBoard, 'isMemoryCritical'>;
  readonly channelLimits: ChannelLimits;
  readonly ended: EndedConnections;
  readonly random: (bytes: number) => Buffer;
  nextPublisherId(): number;
}

/** @throws Refusal unavailable: what would take memory for good is not made while there is hardly any */
export function checkRoom(context: SessionContext, what: string): void {
  if (!context.alarms.isMemoryCritical) return;
  throw new Refusal('unavailable', `low on memory: no ${what} until some is freed`);
}

/** @throws Refusal unavailable when the log takes no changes now */
export async function propose(context: SessionContext, command: Command): Promise<CommandReply> {
  if (command.type.startsWith('declare-')) checkRoom(context, command.type.replace('declare-', 'new '));
  try {
    return await context.metadata.propose(command);
  } catch (error) {
    // Expected: no majority, disk full, stopping. Anything else is a bug and goes on up.
    if (error instanceof MetadataUnavailable) throw new Refusal('unavailable', error.message);
    throw error;
  }
}

/** @throws Refusal not-found: the vhost was deleted, its connections are being closed */
export function vhostOf(context: SessionContext, name: string): Vhost {
  const vhost = context.topology.vhosts.get(name);
  if (vhost === undefined) throw new Refusal('not-found', `vhost ${name} not found`);
  return vhost;
}
