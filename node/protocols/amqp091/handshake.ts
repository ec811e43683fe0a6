/**
 * The conversation on channel 0 until the connection is open:
 *
 *   connection.start -> start-ok -> (authenticate) -> tune -> tune-ok, open -> open-ok
 *
 * Decides; its host sends and closes. Until the client has logged in nothing is
 * explained to it: a wrong step ends in silence after three seconds, so that
 * guessing costs time (behaviours 10, 11, 15, 16).
 *
 * Source: AMQP 0-9-1 §2.2.4 and §1.4, behaviours 1 to 18.
 */
import { ReplyCode } from '../../../proto/amqp091/errors.ts';
import { EMPTY_TABLE, type FieldTable } from '../../../proto/amqp091/field-table.ts';
import type { ConnectionStartOk, ConnectionTuneOk, Method } from '../../../proto/amqp091/methods.generated.ts';
import type { Access, AuthResult } from '../../access/access.ts';
import { lookup } from '../../broker/queue/arguments.ts';
import type { FrontEndSettings, ProductInfo } from '../front-end-context.ts';
import type { ClientCapabilities } from './channel-host.ts';
import { connectionError } from './method-errors.ts';
import type { ProtocolVersion } from './protocol.ts';
import { amqPlainCredentials, type Credentials, MECHANISMS, plainCredentials } from './sasl.ts';
import { serverProperties } from './server-properties.ts';

/** RabbitMQ's FRAME_MIN_SIZE: what every peer must be able to take. */
export const FRAME_MAX_MIN = 4096;

export interface HandshakeHost {
  readonly peerHost: string;
  sendMethod(method: Method): void;
  /** Nothing is said, and after three seconds the socket is closed. */
  closeSilently(reason: string): void;
  drop(reason: string): void;
  /** connection.close although it was never open (behaviour 9). */
  refuseLogin(text: string): void;
  onTuned(channelMax: number, frameMax: number, heartbeatSeconds: number): void;
  /** Throws AmqpError when the vhost cannot be entered. */
  onOpen(vhost: string): void;
}

export class Handshake {
  state: 'starting' | 'authenticating' | 'tuning' | 'opening' | 'done' = 'starting';
  user = '';
  tags: readonly string[] = [];
  mechanism = '';
  clientProperties: FieldTable = EMPTY_TABLE;
  capabilities: ClientCapabilities = capabilitiesOf(EMPTY_TABLE);
  private readonly host: HandshakeHost;
  private readonly access: Access;
  private readonly settings: FrontEndSettings;
  private readonly product: ProductInfo;

  constructor(host: HandshakeHost, access: Access, settings: FrontEndSettings, product: ProductInfo) {
    this.host = host;
    this.access = access;
    this.settings = settings;
    this.product = product;
  }

  start(version: ProtocolVersion): void {
    const isOld = version === '0-8';
    this.host.sendMethod({
      name: 'connection.start',
      versionMajor: isOld ? 8 : 0,
      versionMinor: isOld ? 0 : 9,
      serverProperties: serverProperties(this.product, !isOld),
      mechanisms: MECHANISMS,
      locales: 'en_US',
    });
  }

  /** @throws AmqpError 504 for a method that has no place here; before login the connection turns that into silence. */
  onMethod(method: Method, methodId: number): void {
    if (this.state === 'starting' && method.name === 'connection.start-ok') this.onStartOk(method);
    else if (this.state === 'tuning' && method.name === 'connection.tune-ok') this.onTuneOk(method);
    else if (this.state === 'opening' && method.name === 'connection.open') this.onOpen(method.virtualHost);
    else {
      const text = `unexpected method in connection state ${this.state}`;
      throw connectionError(ReplyCode.channelError, text, methodId);
    }
  }

  private onStartOk(method: ConnectionStartOk): void {
    this.clientProperties = method.clientProperties;
    this.capabilities = capabilitiesOf(method.clientProperties);
    this.mechanism = method.mechanism;
    const credentials = credentialsOf(method);
    if (credentials === 'malformed') this.host.closeSilently(`malformed ${method.mechanism} response`);
    else if (credentials === 'unknown') this.host.closeSilently('unknown authentication mechanism');
    else if (credentials === 'empty') this.host.drop('empty AMQPLAIN response');
    else this.authenticate(credentials);
  }

  private authenticate({ user, password }: Credentials): void {
    this.state = 'authenticating';
    // Rejected only by a bug: a wrong login is a result.
    void this.access.authenticate(user, password, this.host.peerHost).then((result) => {
      if (this.state === 'authenticating') this.onAuthenticated(result);
    });
  }

  private onAuthenticated(result: AuthResult): void {
    if (result.type === 'refused') {
      if (this.capabilities.authenticationFailureClose) this.host.refuseLogin(refusedText(this.mechanism));
      else this.host.closeSilently(`login refused: ${result.reason}`);
      return;
    }
    this.user = result.user;
    this.tags = result.tags;
    this.state = 'tuning';
    const { channelMax, frameMax, heartbeatSeconds } = this.settings;
    this.host.sendMethod({ name: 'connection.tune', channelMax, frameMax, heartbeat: heartbeatSeconds });
  }

  /** Lower than offered is fine, "no limit" (0) is more than offered (behaviours 15 to 17). */
  private onTuneOk({ channelMax, frameMax, heartbeat }: ConnectionTuneOk): void {
    const { settings } = this;
    if (channelMax === 0 || channelMax > settings.channelMax) {
      this.host.closeSilently(`channel_max ${channelMax} in tune-ok, expected 1 to ${settings.channelMax}`);
    } else if (frameMax < FRAME_MAX_MIN || frameMax > settings.frameMax) {
      this.host.closeSilently(`frame_max ${frameMax} in tune-ok, expected ${FRAME_MAX_MIN} to ${settings.frameMax}`);
    } else {
      this.state = 'opening';
      this.host.onTuned(channelMax, frameMax, heartbeat);
    }
  }

  private onOpen(vhost: string): void {
    this.host.onOpen(vhost);
    this.state = 'done';
    this.host.sendMethod({ name: 'connection.open-ok' });
  }
}

function credentialsOf({ mechanism, response }: ConnectionStartOk): Credentials | 'malformed' | 'empty' | 'unknown' {
  if (mechanism === 'PLAIN') return plainCredentials(response);
  if (mechanism === 'AMQPLAIN') return amqPlainCredentials(response);
  return 'unknown';
}

function refusedText(mechanism: string): string {
  const what = `Login was refused using authentication mechanism ${mechanism}.`;
  return `${what} For details see the broker logfile.`;
}

function capabilitiesOf(properties: FieldTable): ClientCapabilities {
  const value = lookup(properties, 'capabilities');
  const table = value !== null && value.t === 'F' ? value.v : EMPTY_TABLE;
  const can = (name: string): boolean => {
    const flag = lookup(table, name);
    return flag !== null && flag.t === 't' && flag.v;
  };
  return {
    consumerCancelNotify: can('consumer_cancel_notify'),
    connectionBlocked: can('connection.blocked'),
    authenticationFailureClose: can('authentication_failure_close'),
  };
}
