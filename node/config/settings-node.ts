/**
 * Settings of the node itself: name, data, log, definitions. Declarations
 * only. Keys that begin with `warren.` are ours, the others RabbitMQ's.
 */
import { family, scalar } from './setting.ts';
import { boolean, filledText, nodeName, oneOf } from './values.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

const levelByWord: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  info: 'info',
  notice: 'info',
  warning: 'warn',
  error: 'error',
  critical: 'error',
  alert: 'error',
  emergency: 'error',
  none: 'silent',
};

export const nodeSettings = {
  nodeName: scalar({
    key: 'warren.node_name',
    type: nodeName,
    default: null,
    defaultText: 'rabbit@ and the short host name, kept in the data directory',
    environment: 'RABBITMQ_NODENAME',
    flag: '--node-name',
    doc: 'The name shown to clients and tools.',
  }),
  clusterName: scalar({
    key: 'cluster_name',
    type: filledText,
    default: null,
    defaultText: "the first node's name",
    doc: 'Shown to clients; taken at the first start.',
  }),
  dataDir: scalar({
    key: 'warren.data_dir',
    type: filledText,
    default: './data',
    flag: '--data-dir',
    doc: 'Where everything durable is kept.',
  }),
  isEphemeral: scalar({
    key: 'warren.ephemeral',
    type: boolean,
    default: false,
    flag: '--ephemeral',
    doc: 'Keeps nothing: all data in memory, gone when the process ends.',
  }),
  acceptDamage: scalar({
    key: 'warren.accept_damage',
    type: boolean,
    default: false,
    flag: '--accept-damage',
    doc: 'Starts although data that was synced is damaged or missing, and gives up what is lost. For one start, by hand.',
  }),
  cookieFile: scalar({
    key: 'warren.cookie_file',
    type: filledText,
    default: null,
    defaultText: '.erlang.cookie in the data directory',
    flag: '--cookie-file',
    doc: 'The secret shared by nodes and warrenctl. Only its owner may read it.',
  }),
  cookie: scalar({
    key: 'warren.cookie',
    type: filledText,
    default: null,
    environment: 'RABBITMQ_ERLANG_COOKIE',
    isSecret: true,
    doc: 'The secret itself, instead of a file.',
  }),
  definitionsFile: scalar({
    key: 'load_definitions',
    aliases: ['definitions.local.path', 'management.load_definitions'],
    type: filledText,
    default: null,
    doc: 'A definitions.json imported at each start, all of it or nothing.',
  }),
  logLevel: family<LogLevel>({
    key: 'log.*.level',
    prefix: 'log',
    suffixes: ['level', 'console', 'console.level', 'default.level'],
    empty: 'info',
    default: 'info',
    expected: `one of ${Object.keys(levelByWord).join(', ')}; for log.console true or false`,
    doc: '`log.console.level` or `log.default.level`: debug, info, warning, error or none. `log.console = false` is none.',
    add: (level, suffix, text) => {
      if (suffix !== 'console') return levelByWord[text] ?? null;
      const isOn = boolean.parse(text);
      if (isOn === null) return null;
      return isOn ? level : 'silent';
    },
  }),
  logFormat: scalar({
    key: 'log.console.formatter',
    type: oneOf('plaintext', 'json'),
    default: null,
    defaultText: 'plaintext on a terminal, json elsewhere',
    doc: 'How log lines look.',
  }),
};
