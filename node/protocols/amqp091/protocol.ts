/**
 * AMQP 0-9-1 among the protocols: its header, and those of its predecessors
 * that are taken too (behaviour 6).
 */
import type { Protocol } from '../protocol.ts';
import { Connection } from './connection.ts';

/** What the client's header asked for: it decides how connection.start names its version. */
export type ProtocolVersion = '0-9-1' | '0-8';

const versionsByHeader: ReadonlyMap<string, ProtocolVersion> = new Map([
  ['AMQP\x00\x00\x09\x01', '0-9-1'],
  ['AMQP\x01\x01\x00\x09', '0-9-1'], // 0-9
  ['AMQP\x01\x01\x08\x00', '0-8'],
  ['AMQP\x01\x01\x09\x01', '0-8'], // 0-8 as its first published form had it; py-amqplib sends it
]);

export const amqp091: Protocol = {
  name: 'AMQP 0-9-1',
  matches: (header) => versionsByHeader.has(header.toString('latin1')),
  serve: (socket, header, rest, handshakeMs, context) => {
    const version = versionsByHeader.get(header.toString('latin1')) ?? '0-9-1';
    const connection = new Connection(socket, version, context);
    connection.start(handshakeMs);
    if (rest.length > 0) connection.onData(rest);
  },
};
