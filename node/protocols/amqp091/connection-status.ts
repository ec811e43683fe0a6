/** A connection as operators see it. */

import { plainTable } from '../../admin/plain-table.ts';
import type { ConnectionStatus } from '../../broker/front-end.ts';
import type { ClientSocket } from '../client-socket.ts';
import type { Connection } from './connection.ts';

/** As RabbitMQ names it. */
export function connectionName({ peerHost, peerPort, host, port }: ClientSocket): string {
  return `${peerHost}:${peerPort} -> ${host}:${port}`;
}

export function connectionStatus(connection: Connection): ConnectionStatus {
  const { socket, identity, handshake, gate, outbox } = connection;
  return {
    id: identity.connectionId,
    name: connection.name,
    protocol: 'AMQP 0-9-1',
    user: identity.user,
    vhost: identity.vhost,
    host: socket.host,
    port: socket.port,
    peerHost: socket.peerHost,
    peerPort: socket.peerPort,
    isTls: socket.isTls,
    authMechanism: handshake.mechanism,
    state: stateOf(connection),
    heldBy: gate.heldBy,
    heartbeatSeconds: connection.heartbeatSeconds,
    frameMax: connection.frameMax,
    channelMax: connection.channelMax,
    channels: connection.channelSet.count,
    connectedAtMs: connection.connectedAtMs,
    sendPendingBytes: outbox.unsentBytes,
    counters: connection.counters,
    clientProperties: plainTable(handshake.clientProperties),
  };
}

function stateOf(connection: Connection): ConnectionStatus['state'] {
  if (connection.state === 'handshake') return 'starting';
  if (connection.state !== 'running') return 'closing';
  if (connection.isBlocked) return 'blocked';
  if (connection.context.broker.alarms.reason !== null) return 'blocking';
  return connection.gate.isOpen ? 'running' : 'flow';
}
