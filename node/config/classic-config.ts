/**
 * Translates RabbitMQ's classic configuration (rabbitmq.config,
 * advanced.config: Erlang terms) to the keys of rabbitmq.conf, so that each
 * setting is checked in one place.
 *
 * In: the file's text and name. Out: entries, problems, and warnings for what
 * RabbitMQ knows and means nothing here.
 */
import { ErlangSyntaxError, type ErlangTerm, parseErlangTerm } from './erlang-terms.ts';
import { type Entry, Layer, type Problem } from './setting.ts';

/** Keys of the `rabbit` application with the same meaning and form under another or the same name. */
const plainKeys: Readonly<Record<string, string>> = {
  default_user: 'default_user',
  default_pass: 'default_pass',
  default_vhost: 'default_vhost',
  heartbeat: 'heartbeat',
  frame_max: 'frame_max',
  initial_frame_max: 'initial_frame_max',
  channel_max: 'channel_max',
  max_message_size: 'max_message_size',
  handshake_timeout: 'handshake_timeout',
  consumer_timeout: 'consumer_timeout',
  cluster_name: 'cluster_name',
  load_definitions: 'load_definitions',
  password_hashing_module: 'password_hashing_module',
};

/** Applications that RabbitMQ ships, Erlang's own included: accepted, without effect. */
const otherApplications = new Set([
  'kernel',
  'ssl',
  'sasl',
  'lager',
  'mnesia',
  'os_mon',
  'ra',
  'osiris',
  'syslog',
  'sysmon_handler',
  'aten',
  'oauth2_client',
  'amqp_client',
]);

export interface ClassicConfig {
  readonly entries: readonly Entry[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

export function parseClassicConfig(content: string, fileName: string): ClassicConfig {
  const result = new Translation(fileName);
  try {
    const root = parseErlangTerm(content);
    if (root !== null) result.addFile(root);
  } catch (error) {
    if (!(error instanceof ErlangSyntaxError)) throw error; // a refusal of the text; anything else is a bug
    result.problems.push({ origin: `${fileName}:${error.line}:${error.column}`, text: error.message });
  }
  return result;
}

class Translation implements ClassicConfig {
  readonly entries: Entry[] = [];
  readonly problems: Problem[] = [];
  readonly warnings: string[] = [];
  private readonly fileName: string;

  constructor(fileName: string) {
    this.fileName = fileName;
  }

  addFile(root: ErlangTerm): void {
    if (root.type !== 'list') {
      this.refuse(root, 'expected a list of {application, [{key, value}]}');
      return;
    }
    for (const application of root.items) {
      const pair = pairOf(application);
      if (pair === null || pair.value.type !== 'list') {
        this.refuse(application, 'expected {application, [{key, value}]}');
        continue;
      }
      this.addApplication(pair.name, pair.value.items, application.line);
    }
  }

  private addApplication(name: string, items: readonly ErlangTerm[], line: number): void {
    if (name !== 'rabbit') {
      if (name.startsWith('rabbit') || otherApplications.has(name)) {
        this.warnings.push(`${this.fileName}:${line}: application ${name} has no effect here`);
      } else {
        this.problems.push({
          origin: `${this.fileName}:${line}`,
          text: `application ${name} is not known, expected rabbit`,
        });
      }
      return;
    }
    for (const item of items) {
      const pair = pairOf(item);
      if (pair === null) this.refuse(item, 'expected {key, value}');
      else this.addSetting(pair.name, pair.value);
    }
  }

  private addSetting(name: string, value: ErlangTerm): void {
    // Names are the file's: `constructor` is none of the keys, though every object has one.
    const key = Object.hasOwn(plainKeys, name) ? plainKeys[name] : undefined;
    if (key !== undefined) {
      this.addPlain(key, name, value);
      return;
    }
    if (name === 'tcp_listeners') {
      this.addListeners(value);
      return;
    }
    if (name === 'loopback_users') {
      this.addFlags('loopback_users', value);
      return;
    }
    if (name === 'default_user_tags') {
      this.addFlags('default_user_tags', value);
      return;
    }
    if (name === 'default_permissions') {
      this.addPermissions(value);
      return;
    }
    if (name === 'tcp_listen_options') {
      this.addOptions(value);
      return;
    }
    if (name === 'vm_memory_high_watermark') {
      this.addWatermark(name, 'relative', value);
      return;
    }
    if (name === 'disk_free_limit') {
      this.addWatermark(name, 'absolute', value);
      return;
    }
    this.warnings.push(`${this.fileName}:${value.line}: rabbit.${name} has no effect here`);
  }

  private addPlain(key: string, name: string, value: ErlangTerm): void {
    const text = scalarText(value);
    if (text === null) this.refuse(value, `${name}: expected a single value`);
    else this.add(key, text, value);
  }

  private addListeners(value: ErlangTerm): void {
    if (value.type !== 'list') {
      this.refuse(value, 'tcp_listeners: expected a list of ports or {"address", port}');
      return;
    }
    if (value.items.length === 0) this.add('listeners.tcp', 'none', value);
    for (const [index, item] of value.items.entries()) {
      const text = listenerText(item);
      if (text === null) this.refuse(item, 'tcp_listeners: expected a port or {"address", port}');
      else this.add(`listeners.tcp.${index + 1}`, text, item);
    }
  }

  private addFlags(key: string, value: ErlangTerm): void {
    if (value.type !== 'list') {
      this.refuse(value, `${key}: expected a list of names`);
      return;
    }
    if (value.items.length === 0) this.add(key, 'none', value);
    for (const item of value.items) {
      const name = scalarText(item);
      if (name === null) this.refuse(item, `${key}: expected a name`);
      else this.add(`${key}.${name}`, 'true', item);
    }
  }

  private addPermissions(value: ErlangTerm): void {
    const patterns = value.type === 'list' ? value.items.map(scalarText) : [];
    const [configure, write, read] = patterns;
    if (patterns.length !== 3 || configure === null || write === null || read === null) {
      this.refuse(value, 'default_permissions: expected [<<"configure">>, <<"write">>, <<"read">>]');
      return;
    }
    this.add('default_permissions.configure', configure!, value);
    this.add('default_permissions.write', write!, value);
    this.add('default_permissions.read', read!, value);
  }

  private addOptions(value: ErlangTerm): void {
    if (value.type !== 'list') {
      this.refuse(value, 'tcp_listen_options: expected a list');
      return;
    }
    for (const option of value.items) {
      const pair = pairOf(option);
      const text = pair === null ? null : scalarText(pair.value);
      if (pair !== null && text !== null && ['backlog', 'nodelay', 'keepalive'].includes(pair.name)) {
        this.add(`tcp_listen_options.${pair.name}`, text, option);
      } else {
        this.warnings.push(`${this.fileName}:${option.line}: an option in tcp_listen_options has no effect here`);
      }
    }
  }

  /** `0.4`, `{absolute, 1000000}`, `{mem_relative, 1.0}`, `"2GB"`. */
  private addWatermark(name: string, bareMeaning: string, value: ErlangTerm): void {
    const pair = pairOf(value);
    const kind = pair === null ? bareMeaning : pair.name === 'absolute' ? 'absolute' : 'relative';
    const text = scalarText(pair === null ? value : pair.value);
    if (text === null) this.refuse(value, `${name}: expected a number, a size, {absolute, SIZE} or {relative, NUMBER}`);
    else this.add(`${name}.${kind}`, text, value);
  }

  private add(key: string, text: string, term: ErlangTerm): void {
    this.entries.push({ key, text, layer: Layer.file, origin: `${this.fileName}:${term.line}` });
  }

  private refuse(term: ErlangTerm, text: string): void {
    this.problems.push({ origin: `${this.fileName}:${term.line}`, text });
  }
}

function pairOf(term: ErlangTerm): { readonly name: string; readonly value: ErlangTerm } | null {
  if (term.type !== 'tuple' || term.items.length !== 2) return null;
  const [name, value] = term.items;
  return name!.type === 'atom' ? { name: name!.name, value: value! } : null;
}

function scalarText(term: ErlangTerm): string | null {
  if (term.type === 'atom') return term.name;
  if (term.type === 'number') return String(term.value);
  if (term.type === 'string' || term.type === 'binary') return term.value;
  return null;
}

function listenerText(term: ErlangTerm): string | null {
  if (term.type !== 'tuple') return scalarText(term);
  const parts = term.items.map(scalarText);
  if (parts.length !== 2 || parts[0] === null || parts[1] === null) return null;
  return parts[0]!.includes(':') ? `[${parts[0]}]:${parts[1]}` : `${parts[0]}:${parts[1]}`;
}
