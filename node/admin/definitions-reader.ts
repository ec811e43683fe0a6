/**
 * Reads RabbitMQ's definitions.json into metadata commands, in an order in
 * which each finds what it needs (vhosts before queues before bindings).
 *
 * In: text. Out: commands with the item each came from, or every mistake by
 * item. Proposes nothing.
 */
import type { Command } from '../../cluster/metadata/commands.ts';
import type { QueueDefinition } from '../../cluster/metadata/definitions.ts';
import type { FieldTable } from '../../proto/amqp091/field-table.ts';
import { fieldTable } from './plain-table.ts';

export interface DefinitionItem {
  readonly command: Command;
  /** `queues[3] 'orders' in vhost '/'`. */
  readonly place: string;
}

export interface ReadDefinitions {
  readonly items: readonly DefinitionItem[];
  readonly mistakes: readonly string[];
}

type Json = { readonly [name: string]: unknown };

/** What goes through the values calls itself: arguments of queues are nested as deep as tables of clients may be. */
const NESTING_MAX = 64;

/** The node that leads the queues that are new; transient ones end with it. */
export interface ImportingNode {
  readonly nodeId: string;
  readonly incarnation: number;
}

export function readDefinitions(text: string, node: ImportingNode): ReadDefinitions {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    // A refusal: the operator's file.
    return { items: [], mistakes: [`not JSON: ${error instanceof Error ? error.message : String(error)}`] };
  }
  if (!isObject(root)) return { items: [], mistakes: ['expected a JSON object with users, vhosts, queues, ...'] };
  if (isNestedTooDeep(root)) {
    return { items: [], mistakes: [`expected at most ${NESTING_MAX} lists and objects within each other`] };
  }
  const reader = new DefinitionsReader(root, node);
  reader.readAll();
  return reader;
}

class DefinitionsReader implements ReadDefinitions {
  readonly items: DefinitionItem[] = [];
  readonly mistakes: string[] = [];
  private readonly root: Json;
  private readonly node: ImportingNode;
  /** A vhost's own export names no vhost in its items. */
  private readonly vhostOfAll: string | null;
  private place = '';
  private hasMistake = false;

  constructor(root: Json, node: ImportingNode) {
    this.root = root;
    this.node = node;
    this.vhostOfAll = typeof root['vhost'] === 'string' ? root['vhost'] : null;
  }

  readAll(): void {
    this.each('vhosts', 'name', (json) => this.vhost(json));
    this.each('users', 'name', (json) => this.user(json));
    this.each('permissions', 'user', (json) => this.permission(json));
    this.each('topic_permissions', 'user', (json) => this.topicPermission(json));
    this.each('parameters', 'name', (json) => this.parameter(json, this.vhostOf(json)));
    this.each('global_parameters', 'name', (json) => this.globalParameter(json));
    this.each('policies', 'name', (json) => this.policy(json));
    this.each('exchanges', 'name', (json) => this.exchange(json));
    this.each('queues', 'name', (json) => this.queue(json));
    this.each('bindings', 'source', (json) => this.binding(json));
  }

  private each(section: string, label: string, read: (json: Json) => Command | null): void {
    const list = this.root[section];
    if (list === undefined || list === null) return;
    if (!Array.isArray(list)) {
      this.mistakes.push(`${section}: expected a list, found ${typeof list}`);
      return;
    }
    for (const [index, json] of list.entries()) {
      this.place = `${section}[${index}]`;
      this.hasMistake = false;
      if (!isObject(json)) {
        this.mistake('expected an object');
        continue;
      }
      this.place += placeText(json[label], json['vhost'] ?? this.vhostOfAll);
      const command = read(json);
      if (command !== null && !this.hasMistake) this.items.push({ command, place: this.place });
    }
  }

  private vhost(json: Json): Command {
    const metadata = isObject(json['metadata']) ? json['metadata'] : {};
    const type = json['default_queue_type'] ?? metadata['default_queue_type'];
    const isKnownType = type === 'classic' || type === 'quorum';
    if (!isKnownType && type !== undefined && type !== null && type !== 'undefined') {
      this.mistake(`default_queue_type ${found(type)}: expected classic or quorum`);
    }
    return {
      type: 'put-vhost',
      vhost: {
        name: this.text(json, 'name'),
        description: this.text({ ...metadata, ...json }, 'description', ''),
        tags: this.tags(json['tags'] ?? metadata['tags']),
        defaultQueueType: isKnownType ? type : null,
        isTracing: this.flag(json, 'tracing', false),
        ...this.vhostLimits(json['limits'], this.limitParameterOf(json['name'])),
      },
    };
  }

  /** Exports have the limits of a vhost in a parameter, too; old ones only there. */
  private limitParameterOf(vhost: unknown): unknown {
    const parameters = this.root['parameters'];
    if (!Array.isArray(parameters)) return undefined;
    const found = parameters
      .filter(isObject)
      .find((json) => json['component'] === 'vhost-limits' && (json['vhost'] ?? this.vhostOfAll) === vhost);
    return found?.['value'];
  }

  private vhostLimits(...sources: readonly unknown[]): { readonly maxConnections: number; readonly maxQueues: number } {
    const byName = Object.fromEntries(sources.flatMap((source) => Object.entries(namedValues(source))));
    return {
      maxConnections: this.limit(byName, 'max-connections'),
      maxQueues: this.limit(byName, 'max-queues'),
    };
  }

  private user(json: Json): Command {
    const limits = isObject(json['limits']) ? json['limits'] : {};
    return {
      type: 'put-user',
      mode: 'put',
      user: {
        name: this.text(json, 'name'),
        passwordHash: this.text(json, 'password_hash', ''),
        hashingAlgorithm: this.text(json, 'hashing_algorithm', 'rabbit_password_hashing_sha256'),
        tags: this.tags(json['tags']),
        maxConnections: this.limit(limits, 'max-connections'),
        maxChannels: this.limit(limits, 'max-channels'),
      },
    };
  }

  private permission(json: Json): Command {
    return {
      type: 'put-permission',
      permission: {
        user: this.text(json, 'user'),
        vhost: this.vhostOf(json),
        configure: this.text(json, 'configure'),
        write: this.text(json, 'write'),
        read: this.text(json, 'read'),
      },
    };
  }

  private topicPermission(json: Json): Command {
    return {
      type: 'put-topic-permission',
      permission: {
        user: this.text(json, 'user'),
        vhost: this.vhostOf(json),
        exchange: this.text(json, 'exchange'),
        write: this.text(json, 'write'),
        read: this.text(json, 'read'),
      },
    };
  }

  private parameter(json: Json, vhost: string): Command | null {
    const component = this.text(json, 'component');
    const value = json['value'] ?? null;
    if (component === 'vhost-limits') return this.limitsOfKnownVhost(vhost);
    if (component === 'operator_policy') return this.operatorPolicy(json, vhost, namedValues(value));
    return { type: 'put-parameter', parameter: { component, vhost, name: this.text(json, 'name'), value } };
  }

  private globalParameter(json: Json): Command {
    const name = this.text(json, 'name');
    const value = json['value'] ?? null;
    if (name === 'cluster_name' && typeof value === 'string') return { type: 'set-cluster-name', name: value };
    return { type: 'put-parameter', parameter: { component: '', vhost: '', name, value } };
  }

  /** Part of the vhost itself here, which has to be in the same file. */
  private limitsOfKnownVhost(vhost: string): null {
    const vhosts = this.root['vhosts'];
    const isThere = Array.isArray(vhosts) && vhosts.filter(isObject).some((json) => json['name'] === vhost);
    if (!isThere) this.mistake(`limits of a vhost: expected '${vhost}' among the vhosts of the same file`);
    return null;
  }

  private operatorPolicy(json: Json, vhost: string, value: Json): Command {
    return this.policyOf({ ...value, name: json['name'], vhost }, true);
  }

  private policy(json: Json): Command {
    return this.policyOf(json, false);
  }

  private policyOf(json: Json, isOperator: boolean): Command {
    const { definition } = json;
    if (!isObject(definition) && !isOperator) this.mistake('definition: expected an object');
    return {
      type: 'put-policy',
      isOperator,
      policy: {
        vhost: this.vhostOf(json),
        name: this.text(json, 'name'),
        pattern: this.text(json, 'pattern'),
        applyTo: this.text(json, 'apply-to', 'all'),
        definition: namedValues(definition),
        priority: this.number(json, 'priority', 0),
      },
    };
  }

  private exchange(json: Json): Command | null {
    const name = this.text(json, 'name');
    if (name === '' || name.startsWith('amq.')) return null; // predeclared in every vhost
    return {
      type: 'declare-exchange',
      exchange: {
        vhost: this.vhostOf(json),
        name,
        type: this.text(json, 'type'),
        isDurable: this.flag(json, 'durable', true),
        isAutoDelete: this.flag(json, 'auto_delete', false),
        isInternal: this.flag(json, 'internal', false),
        arguments: this.arguments(json),
        user: 'rmq-internal',
      },
    };
  }

  private queue(json: Json): Command {
    const args = this.arguments(json);
    const isDurable = this.flag(json, 'durable', true);
    const queue: QueueDefinition = {
      id: 0,
      vhost: this.vhostOf(json),
      name: this.text(json, 'name'),
      type: this.queueType(json, args),
      isDurable,
      isExclusive: false,
      isAutoDelete: this.flag(json, 'auto_delete', false),
      arguments: args,
      user: 'rmq-internal',
      owner: isDurable ? null : { ...this.node, connectionId: null },
      leader: '',
      epoch: 0,
      replication: null,
    };
    if (queue.name === '') this.mistake('name: expected a text that is not empty');
    if (queue.name.length > 255) this.mistake('name: expected at most 255 bytes');
    return { type: 'declare-queue', queue, nodeId: this.node.nodeId };
  }

  private queueType(json: Json, args: FieldTable): 'classic' | 'quorum' {
    const argument = args.find(([name]) => name === 'x-queue-type')?.[1];
    const type = json['type'] ?? (argument?.t === 'S' ? argument.v : 'classic');
    if (type === 'classic' || type === 'quorum') return type;
    this.mistake(`type ${found(type)}: expected classic or quorum`);
    return 'classic';
  }

  private binding(json: Json): Command {
    const kind = this.text(json, 'destination_type', 'queue');
    if (kind !== 'queue' && kind !== 'exchange') {
      this.mistake(`destination_type '${kind}': expected queue or exchange`);
    }
    return {
      type: 'declare-binding',
      binding: {
        vhost: this.vhostOf(json),
        source: this.text(json, 'source'),
        destinationKind: kind === 'exchange' ? 'exchange' : 'queue',
        destination: this.text(json, 'destination'),
        routingKey: this.text(json, 'routing_key', ''),
        arguments: this.arguments(json),
        user: 'rmq-internal',
      },
    };
  }

  private vhostOf(json: Json): string {
    if (json['vhost'] === undefined && this.vhostOfAll !== null) return this.vhostOfAll;
    return this.text(json, 'vhost');
  }

  private text(json: Json, name: string, fallback: string | null = null): string {
    const value = json[name];
    if (typeof value === 'string') return value;
    if ((value === undefined || value === null) && fallback !== null) return fallback;
    this.mistake(`${name}: expected a text, found ${found(value)}`);
    return '';
  }

  private flag(json: Json, name: string, fallback: boolean): boolean {
    const value = json[name];
    if (value === undefined || value === null) return fallback;
    if (typeof value !== 'boolean') this.mistake(`${name}: expected true or false, found ${found(value)}`);
    return value === true;
  }

  private number(json: Json, name: string, fallback: number): number {
    const value = json[name];
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
    this.mistake(`${name}: expected an integer, found ${found(value)}`);
    return fallback;
  }

  private limit(limits: Json, name: string): number {
    const value = this.number(limits, name, -1);
    if (value < -1) this.mistake(`limit ${name}: expected -1 (none) or more, found ${value}`);
    return value;
  }

  /** A comma-separated text in old exports, a list in new ones. */
  private tags(value: unknown): readonly string[] {
    if (value === undefined || value === null || value === '') return [];
    if (typeof value === 'string') return value.split(/[, ]+/).filter((tag) => tag !== '');
    if (Array.isArray(value) && value.every((tag) => typeof tag === 'string')) return value;
    this.mistake('tags: expected a list of texts');
    return [];
  }

  private arguments(json: Json): FieldTable {
    const value = json['arguments'];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return [];
    if (isObject(value)) return fieldTable(value);
    this.mistake('arguments: expected an object');
    return [];
  }

  private mistake(text: string): void {
    this.hasMistake = true;
    this.mistakes.push(`${this.place}: ${text}`);
  }
}

/** An object; or what RabbitMQ 3.10 writes for one at times: a list of {name, value} or of [name, value]. */
function namedValues(value: unknown): Json {
  if (!Array.isArray(value)) return isObject(value) ? value : {};
  return Object.fromEntries(
    value.flatMap((item: unknown) => {
      const [name, field]: readonly unknown[] = isObject(item) ? [item['name'], item['value']] : asPair(item);
      return typeof name === 'string' ? [[name, field] as const] : [];
    }),
  );
}

function asPair(item: unknown): readonly unknown[] {
  return Array.isArray(item) && item.length === 2 ? item : [];
}

/** Without calling itself, unlike everything after it. */
function isNestedTooDeep(root: unknown): boolean {
  let level: readonly unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > NESTING_MAX) return true;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  return false;
}

/** What tells an item from the others: ` 'orders' in vhost '/'`. */
function placeText(label: unknown, vhost: unknown): string {
  const name = typeof label === 'string' ? label : '';
  return ` '${shortened(name)}'${typeof vhost === 'string' ? ` in vhost '${shortened(vhost)}'` : ''}`;
}

/** A value of the file within a sentence: not an object's inside, which may be nested beyond the stack. */
function found(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return shortened(JSON.stringify(value) ?? 'nothing');
}

const SHOWN_CHARS_MAX = 300;

function shortened(text: string): string {
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}...` : text;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
