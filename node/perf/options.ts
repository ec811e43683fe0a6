/**
 * The command line of `warren perf`. In: words. Out: everything a run needs to
 * know, help, or one sentence about what was wrong and what was expected.
 *
 * Names and meanings are those of amqpbench where both have an option; the
 * texts about them are in option-table.ts.
 */

import type { FieldTable } from '../../proto/amqp091/field-table.ts';
import { Command, CommanderError, Option } from '../cli/commander.ts';
import { STAMP_BYTES } from './message-layout.ts';
import { optionTable } from './option-table.ts';
import {
  type Endpoint,
  type Given,
  given,
  type OptionValues,
  parseAmqpUri,
  parseEndpoints,
  parseQueueArguments,
  UsageMistake,
} from './option-values.ts';

export const exchangeTypes = ['default', 'direct', 'fanout', 'topic', 'headers'] as const;
export type ExchangeType = (typeof exchangeTypes)[number];

export type PerfMode =
  | { readonly type: 'run' }
  | { readonly type: 'ping' }
  /** Fills queues with so many messages and, with `isDrained`, empties them. */
  | { readonly type: 'preload'; readonly count: number; readonly isDrained: boolean; readonly settleMs: number }
  /** Empties queues of so many messages that another run left. */
  | { readonly type: 'drain'; readonly count: number }
  | { readonly type: 'idle'; readonly connections: number; readonly hasChannel: boolean }
  | { readonly type: 'churn'; readonly workers: number };

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  /** Null: what the server proposes. */
  readonly heartbeatSeconds: number | null;
  readonly frameMax: number;
}

export interface Topology {
  readonly queues: number;
  readonly queuePrefix: string;
  readonly exchangeType: ExchangeType;
  readonly exchangeName: string;
  /** Per queue. */
  readonly bindings: number;
  /** At most so many of the keys are used in turn. */
  readonly keyCycle: number;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly queueArguments: FieldTable;
  readonly isDeclared: boolean;
  readonly isPurged: boolean;
  readonly isKept: boolean;
}

export interface PerfOptions {
  readonly mode: PerfMode;
  readonly login: Login;
  readonly publisherEndpoints: readonly Endpoint[];
  readonly consumerEndpoints: readonly Endpoint[];
  readonly adminEndpoints: readonly Endpoint[];
  readonly connectParallel: number;
  readonly topology: Topology;
  readonly publishers: number;
  readonly consumers: number;
  readonly bodyBytes: number;
  readonly isPersistent: boolean;
  readonly isMandatory: boolean;
  /** Unconfirmed messages per publisher at most; 0: no confirms. */
  readonly confirmWindow: number;
  /** 0: no limit. */
  readonly prefetch: number;
  readonly isPrefetchGlobal: boolean;
  /** 0: automatic acknowledgement. */
  readonly ackEvery: number;
  /** Messages a second and publisher; 0: as many as go. */
  readonly rate: number;
  readonly durationMs: number;
  readonly warmupMs: number;
  /** Messages per publisher; null: as many as the time allows. */
  readonly count: number | null;
  readonly drainTimeoutMs: number;
  readonly isChecked: boolean;
  readonly brokerPids: readonly number[];
  readonly isJson: boolean;
  readonly isQuiet: boolean;
}

export type PerfLine =
  | { readonly type: 'run'; readonly options: PerfOptions }
  | { readonly type: 'help' }
  | { readonly type: 'mistake'; readonly text: string };

/** With --count and no --duration: until the count is reached. */
const dayMs = 86_400_000;
const countMax = 2 ** 47;
const bodyBytesMax = 128 * 1024 * 1024;
const frameMaxMin = 4096;
const frameMaxMax = 16 * 1024 * 1024;

/** @param words without `perf`. */
export function parsePerfLine(words: readonly string[]): PerfLine {
  const program = new Command('warren perf')
    .argument('[words...]')
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} });
  for (const { flags } of optionTable) program.addOption(new Option(flags));
  try {
    program.parse([...words], { from: 'user' });
    const [word] = program.args;
    const values = given(program.opts<OptionValues>());
    if (values.isOn('help')) return { type: 'help' };
    if (word !== undefined) throw new UsageMistake(`'${word}' is no option: expected --NAME or --NAME VALUE`);
    return { type: 'run', options: optionsOf(values) };
  } catch (error) {
    // refusals: of commander, and our own
    if (error instanceof CommanderError) return { type: 'mistake', text: textOf(error) };
    if (error instanceof UsageMistake) return { type: 'mistake', text: error.message };
    throw error;
  }
}

function textOf(error: CommanderError): string {
  const text = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return error.code === 'commander.unknownOption' ? `${text}; expected one of warren perf --help` : text;
}

function optionsOf(values: Given): PerfOptions {
  const mode = modeOf(values);
  const publishers = values.integer('publishers', { min: 0, max: 65_535, otherwise: 1 });
  const pingers = mode.type === 'ping' ? publishers : 1;
  const consumers = values.integer('consumers', { min: 0, max: 65_535, otherwise: pingers });
  const count = values.has('count') ? values.integer('count', { min: 1, max: countMax, otherwise: 1 }) : null;
  const seconds = { min: 0, max: dayMs / 1000 };
  const isTimed = count === null && mode.type !== 'preload';
  const options: PerfOptions = {
    mode,
    ...connectionOptions(values),
    topology: topologyOf(values, mode),
    publishers,
    consumers,
    bodyBytes: values.integer('size', { min: 0, max: bodyBytesMax, otherwise: 1024 }),
    isPersistent: values.isOn('persistent'),
    isMandatory: values.isOn('mandatory'),
    confirmWindow: values.integer('confirm', { min: 0, max: 1_000_000, otherwise: 0 }),
    prefetch: values.integer('prefetch', { min: 0, max: 65_535, otherwise: 0 }),
    isPrefetchGlobal: values.isOn('qos-global'),
    ackEvery: values.integer('ack-every', { min: 0, max: 1_000_000, otherwise: 0 }),
    rate: values.decimal('rate', { min: 0, max: 1e9, otherwise: 0 }),
    durationMs: 1000 * values.decimal('duration', { ...seconds, otherwise: isTimed ? 10 : dayMs / 1000 }),
    warmupMs: 1000 * values.decimal('warmup', { ...seconds, otherwise: count === null ? 2 : 0 }),
    count,
    drainTimeoutMs: 1000 * values.decimal('drain-timeout', { ...seconds, otherwise: 5 }),
    isChecked: !values.isOff('check'),
    brokerPids: values.integers('broker-pid'),
    isJson: values.isOn('json'),
    isQuiet: values.isOn('quiet'),
  };
  checkTogether(options, values);
  return options;
}

function modeOf(values: Given): PerfMode {
  const names = ['ping', 'churn', 'idle-connections', 'preload', 'drain'].filter((name) => values.has(name));
  const [name] = names;
  if (names.length > 1) throw new UsageMistake(`--${names.join(' and --')} exclude each other: expected one of them`);
  if (name === undefined) return { type: 'run' };
  if (name === 'ping') return { type: 'ping' };
  if (name === 'churn') return { type: 'churn', workers: values.integer(name, { min: 1, max: 10_000, otherwise: 1 }) };
  const count = values.integer(name, { min: 1, max: countMax, otherwise: 1 });
  if (name === 'drain') return { type: 'drain', count };
  if (name === 'idle-connections') return { type: 'idle', connections: count, hasChannel: values.isOn('idle-channel') };
  const settleMs = 1000 * values.decimal('settle', { min: 0, max: dayMs / 1000, otherwise: 0 });
  return { type: 'preload', count, isDrained: !values.isOff('drain'), settleMs };
}

function connectionOptions(values: Given) {
  const uri = parseAmqpUri(values.text('uri'));
  const host = values.text('host') ?? uri.host ?? '127.0.0.1';
  const usual = parseEndpoints('port', values.text('port') ?? String(uri.port ?? 5672), host);
  const endpointsOf = (name: string): readonly Endpoint[] | null => {
    const text = values.text(name);
    return text === null ? null : parseEndpoints(name, text, host);
  };
  const publisherEndpoints = endpointsOf('pub-port') ?? usual;
  return {
    publisherEndpoints,
    consumerEndpoints: endpointsOf('con-port') ?? usual,
    adminEndpoints: endpointsOf('admin-port') ?? publisherEndpoints,
    connectParallel: values.integer('connect-parallel', { min: 1, max: 10_000, otherwise: 64 }),
    login: {
      user: values.text('user') ?? uri.user ?? 'guest',
      password: values.text('pass') ?? uri.password ?? 'guest',
      vhost: values.shortText('vhost') ?? uri.vhost ?? '/',
      heartbeatSeconds: values.has('heartbeat')
        ? values.integer('heartbeat', { min: 0, max: 65_535, otherwise: 0 })
        : null,
      frameMax: values.integer('frame-max', { min: frameMaxMin, max: frameMaxMax, otherwise: 131_072 }),
    },
  };
}

function topologyOf(values: Given, mode: PerfMode): Topology {
  return {
    queues: values.integer('queues', { min: 1, max: 1_000_000, otherwise: 1 }),
    queuePrefix: values.shortText('queue-prefix', 200) ?? 'perf.q',
    exchangeType: values.oneOf('exchange', exchangeTypes, 'default'),
    exchangeName: values.shortText('exchange-name') ?? 'perf',
    bindings: values.integer('bindings', { min: 1, max: 1_000_000, otherwise: 1 }),
    keyCycle: values.integer('key-cycle', { min: 1, max: 100_000, otherwise: 4096 }),
    isDurable: values.isOn('durable'),
    isAutoDelete: values.isOn('auto-delete'),
    queueArguments: parseQueueArguments(values.text('queue-args')),
    isDeclared: !values.isOff('declare'),
    isPurged: !values.isOff('purge') && mode.type !== 'drain',
    isKept: values.isOn('keep'),
  };
}

/** What is wrong only beside something else. @throws UsageMistake */
function checkTogether(options: PerfOptions, values: Given): void {
  const { prefetch, ackEvery, publishers, consumers, bodyBytes, mode } = options;
  if (values.isOn('autoack') && ackEvery > 0) {
    throw new UsageMistake('--autoack and --ack-every exclude each other: expected one of them');
  }
  if (prefetch > 0 && ackEvery > prefetch) {
    throw new UsageMistake(`--ack-every ${ackEvery}: expected at most --prefetch, which is ${prefetch}`);
  }
  if (values.has('idle-channel') && mode.type !== 'idle') {
    throw new UsageMistake('--idle-channel: expected beside --idle-connections');
  }
  const ofPreload = values.isOff('drain') ? '--no-drain' : values.has('settle') ? '--settle' : null;
  if (ofPreload !== null && mode.type !== 'preload') throw new UsageMistake(`${ofPreload}: expected beside --preload`);
  if (mode.type === 'preload' && publishers === 0) throw new UsageMistake('--preload: expected at least one publisher');
  if (mode.type === 'drain' && consumers === 0) throw new UsageMistake('--drain: expected at least one consumer');
  if (publishers === 0 && consumers === 0) {
    throw new UsageMistake('--publishers 0 --consumers 0: expected at least one of either');
  }
  if (mode.type !== 'ping') return;
  if (bodyBytes < STAMP_BYTES) {
    throw new UsageMistake(`--size ${bodyBytes}: expected at least ${STAMP_BYTES} with --ping`);
  }
  if (publishers === 0 || consumers === 0) {
    throw new UsageMistake('--ping: expected at least one publisher and one consumer');
  }
}
