/**
 * queue.declare and finding a queue for an operation: checks in RabbitMQ's
 * order and words (behaviours 63 to 72, 142 to 146), then a command to the
 * metadata log. A redeclare of an equal queue costs no log entry. What makes
 * arguments valid and equal is `queue/arguments`.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import { type FieldTable, findField } from '../../../proto/amqp091/field-table.ts';
import { invariant } from '../../../proto/base/invariant.ts';
import {
  checkQueueArguments,
  checkQueueEquivalent,
  type QueueTypeName,
  queueTypeOf,
  RABBIT_TYPE_NAMES,
} from '../queue/arguments.ts';
import type { LiveQueue } from '../queue/live-queue.ts';
import type { Queue } from '../queue/queue.ts';
import { Refusal } from '../refusal.ts';
import type { DeclareQueue, Identity } from '../session.ts';
import { propose, type SessionContext, vhostOf } from '../session-context.ts';
import type { Vhost } from '../vhost.ts';
import { checkNotReserved, notFound, preconditionFailed, resourceLocked, withoutLineEnds } from './names.ts';
import { checkPermission } from './permissions.ts';

const GENERATED_PREFIX = 'amq.gen-';
const GENERATED_BYTES = 16;
/** Others may declare and delete the same name between our looks; beyond this something is wrong. */
const ATTEMPTS_MAX = 10;

/** @throws Refusal */
export async function declareQueue(context: SessionContext, identity: Identity, request: DeclareQueue): Promise<Queue> {
  const asked = withoutLineEnds(request.name);
  if (request.isPassive) return passiveQueue(context, identity, asked);
  if (asked === '') checkServerNamed(vhostOf(context, identity.vhost), request);
  const name = asked === '' ? generatedName(context) : asked;
  // Also for one that is there: a server-made name cannot be declared again, tried on the original.
  if (asked !== '') checkNotReserved('queue', name);
  checkPermission(context.access, identity, 'configure', 'queue', name);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const vhost = vhostOf(context, identity.vhost);
    const existing = vhost.queues.get(name);
    if (existing !== undefined) return redeclared(existing.queue, identity, vhost, request);
    const definition = newDefinition(context, identity, vhost, name, request);
    checkNew(context, identity, vhost, definition, request);
    const reply = await propose(context, { type: 'declare-queue', queue: definition, nodeId: context.nodeId });
    if (reply.type === 'refused') throw preconditionFailed(reply.reason);
    invariant(reply.type !== 'in-use' && reply.type !== 'batch-refused', 'a declare is never in use or a batch');
    // Created: it is there now, unless someone has deleted it already. Exists: another client was faster.
    const made = context.topology.vhosts.get(identity.vhost)?.queues.get(name);
    if (made !== undefined && reply.type === 'created' && made.queue.id === reply.index) return made.queue;
  }
  throw new Refusal('unavailable', `queue '${name}' was declared and deleted ${ATTEMPTS_MAX} times meanwhile`);
}

/** @throws Refusal not-found, resource-locked */
export function passiveQueue(context: SessionContext, identity: Identity, name: string): Queue {
  const queue = accessibleQueue(context, identity, name);
  queue.touch();
  return queue;
}

/** @throws Refusal access-refused, not-found, resource-locked */
export function queueForReading(context: SessionContext, identity: Identity, name: string): Queue {
  checkPermission(context.access, identity, 'read', 'queue', name);
  return accessibleQueue(context, identity, name);
}

/** @throws Refusal access-refused, resource-locked */
export function queueForDeleting(context: SessionContext, identity: Identity, name: string): Queue | null {
  checkPermission(context.access, identity, 'configure', 'queue', name);
  const destination = context.topology.vhosts.get(identity.vhost)?.queues.get(name);
  if (destination === undefined) return null;
  checkOwner(destination.queue.definition, identity);
  return destination.queue;
}

/** Behaviour 69. @throws Refusal resource-locked */
export function checkOwner(definition: QueueDefinition, identity: Identity): void {
  if (!definition.isExclusive || isOwner(definition, identity)) return;
  throw resourceLocked(definition.name, definition.vhost);
}

function accessibleQueue(context: SessionContext, identity: Identity, name: string): LiveQueue {
  const destination = context.topology.vhosts.get(identity.vhost)?.queues.get(name);
  if (destination === undefined) throw notFound('queue', name, identity.vhost);
  checkOwner(destination.queue.definition, identity);
  return destination.queue;
}

function redeclared(queue: LiveQueue, identity: Identity, vhost: Vhost, request: DeclareQueue): Queue {
  const { definition } = queue;
  const isOurs = definition.isExclusive && isOwner(definition, identity);
  if (definition.isExclusive ? !(isOurs && request.isExclusive) : request.isExclusive) {
    throw resourceLocked(definition.name, definition.vhost);
  }
  checkQueueEquivalent(definition, propertiesOf(request), argumentsOf(vhost, request));
  queue.touch();
  return queue;
}

function isOwner(definition: QueueDefinition, identity: Identity): boolean {
  return definition.owner !== null && definition.owner.connectionId === identity.connectionId;
}

/** An exclusive queue ends with its connection: RabbitMQ does not call it durable. */
function propertiesOf(request: DeclareQueue): Pick<QueueDefinition, 'isDurable' | 'isExclusive' | 'isAutoDelete'> {
  const { isDurable, isExclusive, isAutoDelete } = request;
  return { isDurable: isDurable && !isExclusive, isExclusive, isAutoDelete };
}

/** The vhost's default type, where the declare names none and the type can be what is declared. */
function argumentsOf(vhost: Vhost, request: DeclareQueue): FieldTable {
  const type = vhost.definition.defaultQueueType;
  const isPlain = request.isDurable && !request.isExclusive && !request.isAutoDelete;
  if (type === null || type === 'classic' || !isPlain) return request.arguments;
  if (findField(request.arguments, 'x-queue-type') !== null) return request.arguments;
  return [...request.arguments, ['x-queue-type', { t: 'S', v: type }]];
}

/** Only classic queues are short-lived enough for a made-up name. @throws Refusal precondition-failed */
function checkServerNamed(vhost: Vhost, request: DeclareQueue): void {
  const asked = findField(argumentsOf(vhost, request), 'x-queue-type');
  if (asked === null || asked.t !== 'S' || asked.v !== 'quorum') return;
  throw preconditionFailed(`Cannot declare a server-named queue for type ${RABBIT_TYPE_NAMES.quorum}`);
}

function newDefinition(
  context: SessionContext,
  identity: Identity,
  vhost: Vhost,
  name: string,
  request: DeclareQueue,
): QueueDefinition {
  const { nodeId, incarnation } = context;
  const table = argumentsOf(vhost, request);
  const type: QueueTypeName = queueTypeOf(name, vhost.name, table, 'classic');
  const properties = propertiesOf(request);
  const isKept = properties.isDurable && !properties.isExclusive;
  const connectionId = properties.isExclusive ? identity.connectionId : null;
  return {
    ...properties,
    id: 0,
    vhost: vhost.name,
    name,
    type,
    arguments: table,
    user: identity.user,
    owner: isKept ? null : { nodeId, incarnation, connectionId },
    leader: nodeId,
    epoch: 0,
    replication: null,
  };
}

/** What only a new queue has to meet: the vhost's limit, rights on the dead-letter exchange, its arguments. */
function checkNew(
  context: SessionContext,
  identity: Identity,
  vhost: Vhost,
  definition: QueueDefinition,
  request: DeclareQueue,
): void {
  const { name, type } = definition;
  const max = vhost.definition.maxQueues;
  if (max >= 0 && context.metadata.view.queueCount(vhost.name) >= max) {
    throw preconditionFailed(
      `cannot declare queue '${name}': queue limit in vhost '${vhost.name}' (${max}) is reached`,
    );
  }
  const deadLetterExchange = findField(request.arguments, 'x-dead-letter-exchange');
  if (deadLetterExchange !== null && deadLetterExchange.t === 'S') {
    checkPermission(context.access, identity, 'read', 'queue', name);
    checkPermission(context.access, identity, 'write', 'exchange', deadLetterExchange.v);
  }
  checkQueueArguments(name, vhost.name, type, propertiesOf(request), definition.arguments);
}

function generatedName(context: SessionContext): string {
  return GENERATED_PREFIX + context.random(GENERATED_BYTES).toString('base64url');
}
