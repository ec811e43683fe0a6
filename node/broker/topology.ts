/**
 * Makes the metadata live: vhosts, exchanges, bindings and queues exist here
 * because, and as long as, the metadata log says so.
 *
 * In: the whole view at start (`load`, in slices), then the changes of every
 * applied command, in log order. Out: the maps that routing and sessions look
 * things up in, and `generation`, which rises once per command after which a
 * cached route may be wrong. Loading and changes may overlap: what is there
 * already is not made again. An exchange goes at once; its bindings, of which
 * there may be very many, when the log names them.
 *
 * Queues are started and ended after the maps are right: what they tell their
 * consumers may come back here at once.
 */
import type {
  BindingDefinition,
  Change,
  ExchangeDefinition,
  QueueDefinition,
  VhostDefinition,
} from '../../cluster/metadata/definitions.ts';
import { bindingKey } from '../../cluster/metadata/keys.ts';
import type { MetadataListener, MetadataView } from '../../cluster/metadata-client.ts';
import { invariant } from '../../proto/base/invariant.ts';
import { Binding } from './exchange/binding.ts';
import { DefaultTable } from './exchange/default-exchange.ts';
import { Exchange, type ExchangeType } from './exchange/exchange.ts';
import type { Policies } from './policies.ts';
import { alternateExchangeOf } from './policies.ts';
import type { EffectivePolicy, LiveQueue } from './queue/live-queue.ts';
import type { ReplyDirectory } from './reply-to.ts';
import { QueueDestination, Vhost } from './vhost.ts';

export interface TopologyParts {
  readonly exchangeTypes: ReadonlyMap<string, ExchangeType>;
  readonly policies: Policies;
  readonly replies: ReplyDirectory;
  makeQueue(definition: QueueDefinition, policy: EffectivePolicy): LiveQueue;
  /** For hash tables whose keys clients choose. */
  readonly seed: number;
}

export class Topology implements MetadataListener {
  readonly vhosts = new Map<string, Vhost>();
  readonly queuesById = new Map<number, QueueDestination>();
  private readonly view: MetadataView;
  private readonly parts: TopologyParts;
  private currentGeneration = 1;
  private readonly starting: LiveQueue[] = [];
  private readonly ending: LiveQueue[] = [];

  constructor(view: MetadataView, parts: TopologyParts) {
    this.view = view;
    this.parts = parts;
  }

  /** Rises with every change after which a route may be another one. */
  get generation(): number {
    return this.currentGeneration;
  }

  /** Makes everything the metadata holds; yields after every `rowsPerSlice` rows so that the owner can let others run. */
  *load(rowsPerSlice: number): Generator<number> {
    let rows = 0;
    for (const vhost of this.view.rows('vhosts')) this.putVhost(vhost);
    for (const exchange of this.view.rows('exchanges')) {
      this.addExchange(exchange);
      if (++rows % rowsPerSlice === 0) yield rows;
    }
    for (const queue of this.view.rows('queues')) {
      this.putQueue(queue);
      if (++rows % rowsPerSlice === 0) yield rows;
    }
    for (const binding of this.view.rows('bindings')) {
      this.addBinding(bindingKey(binding), binding);
      if (++rows % rowsPerSlice === 0) yield rows;
    }
    this.currentGeneration++;
    this.startAndEnd();
  }

  onChanges(changes: readonly Change[]): void {
    let isRoutingChanged = false;
    let policyVhosts: Set<string> | null = null;
    for (const change of changes) {
      if (this.apply(change)) isRoutingChanged = true;
      if (change.table !== 'policies' && change.table !== 'operatorPolicies') continue;
      policyVhosts ??= new Set();
      policyVhosts.add((change.after ?? change.before)!.vhost);
    }
    if (isRoutingChanged) this.currentGeneration++;
    this.startAndEnd();
    if (policyVhosts !== null) for (const name of policyVhosts) this.refreshLater(name);
  }

  /** A policy may have changed for this queue: it takes it at once. */
  refreshQueue(destination: QueueDestination): void {
    const definition = destination.queue.definition;
    destination.queue.onDefinition(definition, this.parts.policies.ofQueue(definition));
  }

  refreshExchange(exchange: Exchange): void {
    const alternate = alternateExchangeOf(exchange.definition, this.parts.policies.ofExchange(exchange.definition));
    if (alternate === exchange.alternateExchange) return;
    exchange.alternateExchange = alternate;
    this.currentGeneration++;
  }

  private refreshLater(vhostName: string): void {
    const vhost = this.vhosts.get(vhostName);
    if (vhost !== undefined) this.parts.policies.refresh(vhost, this);
  }

  /** @returns true when a cached route may be wrong now */
  private apply(change: Change): boolean {
    switch (change.table) {
      case 'vhosts':
        if (change.after !== null) this.putVhost(change.after);
        else this.removeVhost(change.key);
        return true;
      case 'exchanges':
        if (change.before !== null) this.removeExchange(change.before, change.after);
        if (change.after !== null) this.addExchange(change.after);
        return true;
      case 'queues':
        if (change.before !== null && change.before.id !== change.after?.id) this.removeQueue(change.before);
        if (change.after !== null) this.putQueue(change.after);
        return true;
      case 'bindings':
        if (change.before !== null) this.removeBinding(change.key, change.before);
        if (change.after !== null) this.addBinding(change.key, change.after);
        return true;
      case 'users':
      case 'permissions':
      case 'topicPermissions':
      case 'policies':
      case 'operatorPolicies':
        return true;
      case 'parameters':
      case 'nodes':
      case 'cluster':
        return false;
    }
  }

  private putVhost(definition: VhostDefinition): void {
    const vhost = this.vhosts.get(definition.name);
    if (vhost === undefined) this.vhosts.set(definition.name, new Vhost(definition));
    else vhost.definition = definition;
  }

  private removeVhost(name: string): void {
    const vhost = this.vhosts.get(name);
    if (vhost === undefined) return;
    this.vhosts.delete(name);
    for (const destination of vhost.queues.values()) this.endQueue(destination);
  }

  private addExchange(definition: ExchangeDefinition): void {
    const vhost = this.vhosts.get(definition.vhost);
    if (vhost === undefined || vhost.exchanges.has(definition.name)) return;
    const type = this.parts.exchangeTypes.get(definition.type);
    invariant(type !== undefined, `the metadata holds known exchange types, not '${definition.type}'`);
    const isDefault = definition.name === '';
    const table = isDefault ? new DefaultTable(vhost.queues, this.parts.replies) : type.createTable(this.parts.seed);
    const exchange = new Exchange(definition, type, table);
    exchange.alternateExchange = alternateExchangeOf(definition, this.parts.policies.ofExchange(definition));
    vhost.exchanges.set(definition.name, exchange);
  }

  /** @param next what takes its place: nothing that was bound to the former one is bound to it */
  private removeExchange(definition: ExchangeDefinition, next: ExchangeDefinition | null): void {
    const vhost = this.vhosts.get(definition.vhost);
    const exchange = vhost?.exchanges.get(definition.name);
    if (vhost === undefined || exchange === undefined) return;
    vhost.exchanges.delete(definition.name);
    exchange.isGone = true;
    if (next === null) return;
    this.dropBindings(vhost, exchange.bindingsFrom);
    this.dropBindings(vhost, exchange.bindingsTo);
  }

  private putQueue(definition: QueueDefinition): void {
    const vhost = this.vhosts.get(definition.vhost);
    if (vhost === undefined) return;
    const present = vhost.queues.get(definition.name);
    const policy = this.parts.policies.ofQueue(definition);
    if (present !== undefined && present.queue.id === definition.id) {
      if (present.queue.definition !== definition) present.queue.onDefinition(definition, policy);
      return;
    }
    const queue = this.parts.makeQueue(definition, policy);
    const destination = new QueueDestination(queue);
    vhost.queues.set(definition.name, destination);
    this.queuesById.set(definition.id, destination);
    this.starting.push(queue);
  }

  private removeQueue(definition: QueueDefinition): void {
    const vhost = this.vhosts.get(definition.vhost);
    const destination = vhost?.queues.get(definition.name);
    if (vhost === undefined || destination === undefined || destination.queue.id !== definition.id) return;
    this.dropBindings(vhost, destination.bindingsTo);
    vhost.queues.delete(definition.name);
    this.endQueue(destination);
  }

  private endQueue(destination: QueueDestination): void {
    destination.isGone = true;
    this.queuesById.delete(destination.queue.id);
    this.ending.push(destination.queue);
  }

  private addBinding(key: string, definition: BindingDefinition): void {
    const vhost = this.vhosts.get(definition.vhost);
    if (vhost === undefined || vhost.bindings.has(key)) return;
    const source = vhost.exchanges.get(definition.source);
    const destinations = definition.destinationKind === 'queue' ? vhost.queues : vhost.exchanges;
    const destination = destinations.get(definition.destination);
    if (source === undefined || destination === undefined) return;
    const binding = new Binding(definition, source, destination);
    source.table.add(binding);
    source.bindingsFrom.add(binding);
    destination.bindingsTo.add(binding);
    vhost.bindings.set(key, binding);
  }

  private removeBinding(key: string, definition: BindingDefinition): void {
    const vhost = this.vhosts.get(definition.vhost);
    const binding = vhost?.bindings.get(key);
    if (vhost === undefined || binding === undefined) return;
    vhost.bindings.delete(key);
    binding.source.table.remove(binding);
    binding.source.bindingsFrom.delete(binding);
    binding.destination.bindingsTo.delete(binding);
  }

  /** Bindings that the log has not named yet; when it does they are no longer here. */
  private dropBindings(vhost: Vhost, bindings: Exchange['bindingsTo'] | QueueDestination['bindingsTo']): void {
    for (const binding of [...bindings.values()])
      this.removeBinding(bindingKey(binding.definition), binding.definition);
    invariant(bindings.size === 0, `no binding is left over in vhost '${vhost.name}'`);
  }

  private startAndEnd(): void {
    for (const queue of this.ending.splice(0)) queue.onDeleted();
    for (const queue of this.starting.splice(0)) queue.start();
  }
}
