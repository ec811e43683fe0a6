/**
 * Import and export of definitions.json. An import is one batch: in parts that
 * the metadata log can carry, taking effect as one, or not at all.
 *
 * What is there already stays as it is when it is equivalent and is a mistake
 * when it is not; users, vhosts, permissions and policies are replaced, as in
 * RabbitMQ.
 */
import { randomUUID } from 'node:crypto';
import type { Command, CommandReply } from '../../cluster/metadata/commands.ts';
import { rowKey } from '../../cluster/metadata/definitions.ts';
import { canonicalArguments } from '../../cluster/metadata/keys.ts';
import { type MetadataClient, MetadataUnavailable } from '../../cluster/metadata-client.ts';
import { type DefinitionItem, readDefinitions } from './definitions-reader.ts';
import { writeDefinitions } from './definitions-writer.ts';
import { AdminRefusal, type DefinitionOperations } from './operations.ts';

const partCharsMax = 200 * 1024;
const mistakesShownMax = 20;

export class MetadataDefinitionOperations implements DefinitionOperations {
  private readonly metadata: MetadataClient;
  private readonly nodeId: string;

  constructor(metadata: MetadataClient, nodeId: string) {
    this.metadata = metadata;
    this.nodeId = nodeId;
  }

  export(): string {
    return writeDefinitions(this.metadata.view);
  }

  async import(json: string): Promise<readonly string[]> {
    const node = this.metadata.view.get('nodes', this.nodeId);
    const { items, mistakes } = readDefinitions(json, { nodeId: this.nodeId, incarnation: node?.incarnation ?? 0 });
    const conflicts: string[] = [];
    const notes: string[] = [];
    const isBound = this.boundCheck(items);
    const wanted = items.filter((item) => !this.isThere(item, conflicts) && isBound(item, notes));
    refuseIfAny([...mistakes, ...conflicts]);
    if (wanted.length > 0) await this.apply(wanted);
    return notes;
  }

  /** RabbitMQ's export has the bindings of internal exchanges but not the exchanges; its import passes over such bindings. */
  private boundCheck(items: readonly DefinitionItem[]): (item: DefinitionItem, notes: string[]) => boolean {
    const { view } = this.metadata;
    const imported = new Set<string>();
    for (const { command } of items) {
      if (command.type === 'declare-queue') imported.add(`queue ${rowKey(command.queue.vhost, command.queue.name)}`);
      if (command.type !== 'declare-exchange') continue;
      imported.add(`exchange ${rowKey(command.exchange.vhost, command.exchange.name)}`);
    }
    const isKnown = (kind: 'queue' | 'exchange', vhost: string, name: string): boolean => {
      const key = rowKey(vhost, name);
      if (imported.has(`${kind} ${key}`)) return true;
      return kind === 'queue'
        ? view.get('queues', key) !== null
        : name.startsWith('amq.') || view.get('exchanges', key) !== null;
    };
    return ({ command, place }, notes) => {
      if (command.type !== 'declare-binding') return true;
      const { vhost, source, destinationKind, destination } = command.binding;
      const missing = isKnown('exchange', vhost, source)
        ? isKnown(destinationKind, vhost, destination)
          ? null
          : `${destinationKind} '${destination}'`
        : `exchange '${source}'`;
      if (missing !== null) notes.push(`${place}: ${missing} does not exist`);
      return missing === null;
    };
  }

  /** True when an equivalent queue or exchange exists; one that differs is a conflict. */
  private isThere({ command, place }: DefinitionItem, conflicts: string[]): boolean {
    const { view } = this.metadata;
    if (command.type === 'declare-queue') {
      const wanted = command.queue;
      const found = view.get('queues', rowKey(wanted.vhost, wanted.name));
      if (found === null) return false;
      const isSame =
        found.isDurable === wanted.isDurable &&
        found.isAutoDelete === wanted.isAutoDelete &&
        found.type === wanted.type &&
        !found.isExclusive &&
        canonicalArguments(found.arguments) === canonicalArguments(wanted.arguments);
      if (!isSame && !isSameForJson(found, wanted)) conflicts.push(`${place}: exists with other properties`);
      return true;
    }
    if (command.type === 'declare-exchange') {
      const wanted = command.exchange;
      const found = view.get('exchanges', rowKey(wanted.vhost, wanted.name));
      if (found === null) return false;
      const isSame =
        found.isDurable === wanted.isDurable &&
        found.isAutoDelete === wanted.isAutoDelete &&
        found.isInternal === wanted.isInternal &&
        found.type === wanted.type;
      if (!isSame) conflicts.push(`${place}: exists with other properties`);
      return true;
    }
    return false;
  }

  private async apply(items: readonly DefinitionItem[]): Promise<void> {
    const commands = items.map((item) => item.command);
    const parts = splitByChars(commands);
    if (parts.length === 1) {
      this.check(await this.propose({ type: 'batch', commands }), items);
      return;
    }
    const batchId = `${this.nodeId}/${randomUUID()}`;
    try {
      for (const [part, list] of parts.entries()) {
        this.check(await this.propose({ type: 'batch-part', batchId, part, commands: list }), items);
      }
    } catch (error) {
      await this.metadata.propose({ type: 'batch-abort', batchId }).catch(() => {}); // the first fault is the one to tell
      throw error;
    }
    this.check(await this.propose({ type: 'batch-commit', batchId, parts: parts.length }), items);
  }

  private async propose(command: Command): Promise<CommandReply> {
    try {
      return await this.metadata.propose(command);
    } catch (error) {
      if (error instanceof MetadataUnavailable) throw new AdminRefusal('unavailable', error.message);
      throw error;
    }
  }

  private check(reply: CommandReply, items: readonly DefinitionItem[]): void {
    if (reply.type === 'refused') refuseIfAny([reply.reason]);
    if (reply.type === 'batch-refused')
      refuseIfAny([`${items[reply.at]?.place ?? 'an item'}: ${reasonOf(reply.reply)}`]);
  }
}

/** Imported numbers are longs, whatever width the client that declared them used. */
function isSameForJson(
  found: {
    readonly type: string;
    readonly isDurable: boolean;
    readonly isAutoDelete: boolean;
    readonly arguments: unknown;
  },
  wanted: typeof found,
): boolean {
  const shape = (queue: typeof found) =>
    JSON.stringify([queue.type, queue.isDurable, queue.isAutoDelete, withoutIntegerWidths(queue.arguments)]);
  return shape(found) === shape(wanted);
}

function withoutIntegerWidths(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value
    .map(([name, field]: [string, { readonly t: string }]) => [
      name,
      'bBsuIil'.includes(field.t) ? { ...field, t: 'l' } : field,
    ])
    .sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}

function splitByChars(commands: readonly Command[]): readonly (readonly Command[])[] {
  const parts: Command[][] = [];
  let part: Command[] = [];
  let chars = 0;
  for (const command of commands) {
    const length = JSON.stringify(command).length;
    if (part.length > 0 && chars + length > partCharsMax) {
      parts.push(part);
      part = [];
      chars = 0;
    }
    part.push(command);
    chars += length;
  }
  parts.push(part);
  return parts;
}

function reasonOf(reply: CommandReply): string {
  switch (reply.type) {
    case 'refused':
      return reply.reason;
    case 'not-found':
      return `${reply.what} does not exist`;
    case 'exists':
      return 'exists with other properties';
    case 'in-use':
      return 'is in use';
    default:
      return reply.type;
  }
}

function refuseIfAny(mistakes: readonly string[]): void {
  if (mistakes.length === 0) return;
  const shown = mistakes.slice(0, mistakesShownMax);
  const more = mistakes.length - shown.length;
  const lines = more > 0 ? [...shown, `and ${more} more`] : shown;
  throw new AdminRefusal('bad-definitions', `nothing was imported:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}
