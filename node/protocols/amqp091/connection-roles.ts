/** What a connection is to its parts, each of which names what it needs. */
import type { OutboxOwner } from '../outbox.ts';
import type { UnfinishedOwner } from '../unfinished-contents.ts';
import type { AlarmHoldOwner } from './alarm-hold.ts';
import type { ChannelHost } from './channel-host.ts';
import type { HandshakeHost } from './handshake.ts';
import type { HeartbeatOwner } from './heartbeat.ts';
import type { InputOwner } from './input.ts';
import type { ReadingGateOwner } from './reading-gate.ts';

export type ConnectionRoles = ChannelHost &
  HandshakeHost &
  OutboxOwner &
  HeartbeatOwner &
  ReadingGateOwner &
  AlarmHoldOwner &
  InputOwner &
  UnfinishedOwner;
