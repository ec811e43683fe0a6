/**
 * Settings of listeners and of the AMQP 0-9-1 handshake. Declarations only.
 * Defaults are RabbitMQ 3.13's.
 */
import { family, scalar } from './setting.ts';
import { boolean, integer, type ListenAddress, listenAddress, port } from './values.ts';

const noListeners: readonly ListenAddress[] = [];
const defaultListeners: readonly ListenAddress[] = [{ host: null, port: 5672, isExplicit: false }];

export const networkSettings = {
  tcpListeners: family<readonly ListenAddress[]>({
    key: 'listeners.tcp.*',
    prefix: 'listeners.tcp',
    suffixes: null,
    empty: noListeners,
    default: defaultListeners,
    defaultText: '5672 on all interfaces',
    expected: `${listenAddress.expected}; or listeners.tcp = none`,
    environment: 'RABBITMQ_NODE_PORT',
    flag: '--port',
    doc: 'Where AMQP 0-9-1 is served, one key per listener: `listeners.tcp.default = 5672`, `listeners.tcp.1 = 127.0.0.1:5672`, `listeners.tcp = none`. Port 0 picks a free one. A listener nobody set whose port is taken is left out with a warning; one that was set and is taken ends the start.',
    add: (listeners, suffix, text) => {
      if (suffix === '') return text === 'none' ? noListeners : null;
      const listener = listenAddress.parse(text);
      return listener === null ? null : [...listeners, listener];
    },
  }),
  tcpBacklog: scalar({
    key: 'tcp_listen_options.backlog',
    type: integer(1, 65535),
    default: 128,
    doc: 'How many connections the system holds that were not accepted yet.',
  }),
  tcpNoDelay: scalar({
    key: 'tcp_listen_options.nodelay',
    type: boolean,
    default: true,
    doc: "Switches Nagle's algorithm off on client connections.",
  }),
  tcpKeepAlive: scalar({
    key: 'tcp_listen_options.keepalive',
    type: boolean,
    default: false,
    doc: 'TCP keepalive on client connections, beside heartbeats.',
  }),
  heartbeatSeconds: scalar({
    key: 'heartbeat',
    type: integer(0, 65535),
    default: 60,
    unit: 'seconds',
    doc: 'Heartbeat interval proposed to clients; 0 proposes none.',
  }),
  frameMax: scalar({
    key: 'frame_max',
    type: integer(8192, 16 * 1024 * 1024),
    default: 131072,
    unit: 'bytes',
    doc: 'Largest frame proposed to clients.',
  }),
  initialFrameMax: scalar({
    key: 'initial_frame_max',
    type: integer(4096, 16 * 1024 * 1024),
    default: 8192,
    unit: 'bytes',
    doc: 'Largest frame taken before the client has answered connection.tune.',
  }),
  channelMax: scalar({
    key: 'channel_max',
    type: integer(1, 65535),
    default: 2047,
    doc: 'How many channels one connection may have open.',
  }),
  handshakeTimeoutMs: scalar({
    key: 'handshake_timeout',
    type: integer(100, 3_600_000),
    default: 10_000,
    unit: 'milliseconds',
    doc: 'A client that has not opened its connection by then is dropped.',
  }),
  adminPort: scalar({
    key: 'distribution.port',
    type: port,
    default: null,
    defaultText: 'AMQP port + 20000 if that is valid and free, else a free one',
    environment: 'RABBITMQ_DIST_PORT',
    doc: 'Port of the admin service (warrenctl) and of the other nodes.',
  }),
};
