/**
 * The handshake of AMQP 0-9-1, whole or step by step, so that a test can stop or
 * lie at any point of it.
 *
 * In: where the broker is, and who we say we are. Out: an open RawConnection.
 */
import { type BrokerAddress, RawConnection } from './connection.ts';
import type { Method } from './method-codec.ts';
import { encodeTable, type TableObject } from './table.ts';

export const PROTOCOL_HEADER = 'AMQP\0\0\x09\x01';

export interface ConnectOptions {
  readonly user?: string;
  readonly password?: string;
  readonly vhost?: string;
  readonly capabilities?: TableObject;
  readonly clientProperties?: TableObject;
  /** Our side of tune-ok; what is left out is taken from the broker's offer. Heartbeats are off unless asked for. */
  readonly channelMax?: number;
  readonly frameMax?: number;
  readonly heartbeat?: number;
}

/** What well-behaved clients announce. */
export const CAPABILITIES: TableObject = {
  authentication_failure_close: true,
  consumer_cancel_notify: true,
  'connection.blocked': true,
  'basic.nack': true,
  publisher_confirms: true,
};

export async function connect(address: BrokerAddress, options: ConnectOptions = {}): Promise<RawConnection> {
  const connection = await RawConnection.dial(address);
  await start(connection);
  sendPlain(connection, options);
  await tune(connection, options);
  connection.sendMethod(0, 'connection.open', { virtualHost: options.vhost ?? '/' });
  await connection.expect(0, 'connection.open-ok');
  return connection;
}

/** Sends the protocol header and waits for connection.start. */
export async function start(connection: RawConnection, header = PROTOCOL_HEADER): Promise<Method> {
  connection.send(Buffer.from(header, 'latin1'));
  return connection.expect(0, 'connection.start');
}

export function sendPlain(connection: RawConnection, options: ConnectOptions = {}): void {
  const { user = 'guest', password = 'guest' } = options;
  sendStartOk(connection, 'PLAIN', `\0${user}\0${password}`, options);
}

/** AMQPLAIN's response is a table without its length. */
export function sendAmqplain(connection: RawConnection, user: string, password: string): void {
  sendStartOk(connection, 'AMQPLAIN', encodeTable({ LOGIN: user, PASSWORD: password }).subarray(4));
}

export function sendStartOk(
  connection: RawConnection,
  mechanism: string,
  response: string | Buffer,
  options: ConnectOptions = {},
): void {
  const { capabilities = CAPABILITIES, clientProperties = {} } = options;
  connection.sendMethod(0, 'connection.start-ok', {
    clientProperties: { product: 'raw-client', ...clientProperties, capabilities },
    mechanism,
    response,
    locale: 'en_US',
  });
}

/** Waits for connection.tune and answers it. @returns what the broker offered */
export async function tune(connection: RawConnection, options: ConnectOptions = {}): Promise<Method> {
  const offer = await connection.expect(0, 'connection.tune');
  const frameMax = options.frameMax ?? offer.number('frameMax');
  connection.sendMethod(0, 'connection.tune-ok', {
    channelMax: options.channelMax ?? offer.number('channelMax'),
    frameMax,
    heartbeat: options.heartbeat ?? 0,
  });
  connection.frameMax = frameMax;
  return offer;
}
