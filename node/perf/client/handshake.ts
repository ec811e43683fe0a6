/**
 * How a client connection comes to an open channel: protocol header, PLAIN
 * login, tune, vhost, channel 1. Each step waits for its answer.
 *
 * Source: AMQP 0-9-1 spec §2.2.4; the capabilities are RabbitMQ's.
 */
import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import type { Login } from '../options.ts';
import type { ClientConnection } from './connection.ts';
import { ConnectionFailure } from './failure.ts';

const protocolHeader = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
/** The only one. */
export const channelNumber = 1;

const clientProperties: FieldTable = [
  ['product', { t: 'S', v: 'warren perf' }],
  ['platform', { t: 'S', v: 'Node.js' }],
  [
    'capabilities',
    {
      t: 'F',
      v: [
        ['publisher_confirms', { t: 't', v: true }],
        ['consumer_cancel_notify', { t: 't', v: true }],
        ['basic.nack', { t: 't', v: true }],
        ['connection.blocked', { t: 't', v: true }],
        ['authentication_failure_close', { t: 't', v: true }],
      ],
    },
  ],
];

/** @throws ConnectionFailure with the server's words. */
export async function openConnection(connection: ClientConnection, login: Login): Promise<void> {
  await connection.connect();
  const greeting = connection.expect('connection.start');
  connection.sendBytes(protocolHeader);
  await greeting;
  const tune = await connection.call(
    0,
    {
      name: 'connection.start-ok',
      clientProperties,
      mechanism: 'PLAIN',
      response: Buffer.from(`\0${login.user}\0${login.password}`),
      locale: 'en_US',
    },
    'connection.tune',
  );
  if (tune.name !== 'connection.tune') throw new ConnectionFailure(connection.name, `${tune.name} came for tune`);
  connection.frameMax = lowerOf(tune.frameMax, login.frameMax);
  const heartbeat = login.heartbeatSeconds === null ? tune.heartbeat : lowerOf(tune.heartbeat, login.heartbeatSeconds);
  const { channelMax } = tune;
  connection.send(0, { name: 'connection.tune-ok', channelMax, frameMax: connection.frameMax, heartbeat });
  await connection.call(0, { name: 'connection.open', virtualHost: login.vhost }, 'connection.open-ok');
  connection.startHeartbeats(heartbeat);
}

/** @throws ConnectionFailure */
export async function openChannel(connection: ClientConnection): Promise<void> {
  await connection.call(channelNumber, { name: 'channel.open' }, 'channel.open-ok');
}

/** Of two limits; 0 is none, except that we may always ask for no heartbeats. */
function lowerOf(theirs: number, ours: number): number {
  return theirs === 0 ? ours : Math.min(theirs, ours);
}
