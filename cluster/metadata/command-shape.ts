/**
 * Whether something read from the log is a command at all: every field there,
 * of its type. After that `apply` need not doubt a value's form, and a command
 * of a later version is answered instead of stopping the node.
 */

/** int: a safe integer. table: an AMQP field table. any: whatever JSON can say. `|null`: may be null. */
type Kind =
  | 'text'
  | 'text|null'
  | 'int'
  | 'int|null'
  | 'flag'
  | 'texts'
  | 'table'
  | 'object'
  | 'any'
  | 'commands'
  | Shape;
type Shape =
  | {
      readonly fields: Readonly<Record<string, Kind>>;
      readonly isNullable?: true;
      /** Commands of earlier releases don't have it. */
      readonly isOptional?: true;
    }
  | Choice
  | ListShape;
/** A list of objects. */
type ListShape = { readonly itemFields: Readonly<Record<string, Kind>> };
type Choice = { readonly oneOf: readonly string[] };

const OWNER: Shape = { fields: { nodeId: 'text', incarnation: 'int', connectionId: 'text|null' }, isNullable: true };
const NODE: Shape = {
  fields: { nodeId: 'text', name: 'text', kind: { oneOf: ['disc', 'ram'] }, incarnation: 'int', version: 'text' },
};
const VHOST: Shape = {
  fields: {
    name: 'text',
    description: 'text',
    tags: 'texts',
    defaultQueueType: 'text|null',
    isTracing: 'flag',
    maxConnections: 'int',
    maxQueues: 'int',
  },
};
const USER: Shape = {
  fields: {
    name: 'text',
    passwordHash: 'text',
    hashingAlgorithm: 'text',
    tags: 'texts',
    maxConnections: 'int',
    maxChannels: 'int',
  },
};
const PERMISSION: Shape = { fields: { user: 'text', vhost: 'text', configure: 'text', write: 'text', read: 'text' } };
const TOPIC_PERMISSION: Shape = {
  fields: { user: 'text', vhost: 'text', exchange: 'text', write: 'text', read: 'text' },
};
const EXCHANGE: Shape = {
  fields: {
    vhost: 'text',
    name: 'text',
    type: 'text',
    isDurable: 'flag',
    isAutoDelete: 'flag',
    isInternal: 'flag',
    arguments: 'table',
    user: 'text',
  },
};
const QUEUE: Shape = {
  fields: {
    vhost: 'text',
    name: 'text',
    type: { oneOf: ['classic', 'quorum'] },
    isDurable: 'flag',
    isExclusive: 'flag',
    isAutoDelete: 'flag',
    arguments: 'table',
    user: 'text',
    owner: OWNER,
  },
};
const BINDING: Shape = {
  fields: {
    vhost: 'text',
    source: 'text',
    destinationKind: { oneOf: ['queue', 'exchange'] },
    destination: 'text',
    routingKey: 'text',
    arguments: 'table',
    user: 'text',
  },
};
const POLICY: Shape = {
  fields: { vhost: 'text', name: 'text', pattern: 'text', applyTo: 'text', definition: 'object', priority: 'int' },
};
const QUEUE_REF: Shape = { fields: { vhost: 'text', name: 'text', id: 'int' } };
const PROMOTE_ON_FAILURE: Choice = { oneOf: ['when-synced', 'always'] };
const PLACEMENT: Shape = {
  fields: { replicas: 'texts', minInSync: 'int', promoteOnFailure: PROMOTE_ON_FAILURE },
  isNullable: true,
  isOptional: true,
};
const PARAMETER: Shape = { fields: { component: 'text', vhost: 'text', name: 'text', value: 'any' } };

const COMMANDS: ReadonlyMap<string, Readonly<Record<string, Kind>>> = new Map<string, Readonly<Record<string, Kind>>>([
  ['found-cluster', { clusterId: 'text', name: 'text', defaults: 'commands' }],
  ['register-node', { node: NODE }],
  ['node-down', { nodeId: 'text', incarnation: 'int' }],
  ['node-up', { nodeId: 'text', incarnation: 'int' }],
  ['remove-node', { nodeId: 'text' }],
  ['put-vhost', { vhost: VHOST }],
  ['delete-vhost', { name: 'text' }],
  ['put-user', { user: USER, mode: { oneOf: ['create', 'update', 'put'] } }],
  ['delete-user', { name: 'text' }],
  ['put-permission', { permission: PERMISSION }],
  ['delete-permission', { user: 'text', vhost: 'text' }],
  ['put-topic-permission', { permission: TOPIC_PERMISSION }],
  ['delete-topic-permission', { user: 'text', vhost: 'text', exchange: 'text|null' }],
  ['declare-exchange', { exchange: EXCHANGE }],
  ['delete-exchange', { vhost: 'text', name: 'text', ifUnused: 'flag' }],
  ['declare-queue', { queue: QUEUE, nodeId: 'text', placement: PLACEMENT }],
  [
    'alter-in-sync',
    {
      queue: QUEUE_REF,
      epoch: 'int',
      version: 'int',
      inSync: 'texts',
      marked: 'texts',
      added: { itemFields: { nodeId: 'text', incarnation: 'int', assignment: 'int' } },
    },
  ],
  [
    'set-replicas',
    {
      queue: QUEUE_REF,
      version: 'int',
      replicas: 'texts',
      minInSync: 'int',
      promoteOnFailure: PROMOTE_ON_FAILURE,
    },
  ],
  ['move-leader', { queue: QUEUE_REF, epoch: 'int', version: 'int', to: 'text' }],
  ['promote-replica', { queue: QUEUE_REF, epoch: 'int', version: 'int', to: 'text', incarnation: 'int' }],
  ['delete-queue', { vhost: 'text', name: 'text', id: 'int|null' }],
  ['end-connection', { nodeId: 'text', connectionId: 'text' }],
  ['declare-binding', { binding: BINDING }],
  ['delete-binding', { binding: BINDING }],
  ['put-policy', { policy: POLICY, isOperator: 'flag' }],
  ['delete-policy', { vhost: 'text', name: 'text', isOperator: 'flag' }],
  ['put-parameter', { parameter: PARAMETER }],
  ['delete-parameter', { component: 'text', vhost: 'text', name: 'text' }],
  ['set-cluster-name', { name: 'text' }],
  ['batch-part', { batchId: 'text', part: 'int', commands: 'commands' }],
  ['batch-commit', { batchId: 'text', parts: 'int' }],
  ['batch-abort', { batchId: 'text' }],
  ['batch', { commands: 'commands' }],
]);

/** Batches hold no batches, so this is reached only by something that is not ours. */
const DEPTH_MAX = 100;

/** Null when `value` is a command, else what of it is not. */
export function whatIsWrong(value: unknown): string | null {
  return wrongCommand(value, 0);
}

function wrongCommand(value: unknown, depth: number): string | null {
  if (!isObject(value)) return `expected a command, got ${describe(value)}`;
  const type = value.type;
  const fields = typeof type === 'string' ? COMMANDS.get(type) : undefined;
  if (fields === undefined) return `unknown command ${describe(type)}`;
  return wrongFields(value, fields, `${String(type)}.`, depth);
}

function wrongFields(
  value: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, Kind>>,
  path: string,
  depth: number,
): string | null {
  for (const [name, kind] of Object.entries(fields)) {
    const wrong = wrongValue(value[name], kind, `${path}${name}`, depth);
    if (wrong !== null) return wrong;
  }
  return null;
}

function wrongValue(value: unknown, kind: Kind, path: string, depth: number): string | null {
  if (typeof kind === 'string') {
    if (kind === 'commands') return wrongCommands(value, path, depth);
    return isOfKind(value, kind, depth) ? null : `${path}: expected ${kind}, got ${describe(value)}`;
  }
  if ('oneOf' in kind) {
    const isKnown = typeof value === 'string' && kind.oneOf.includes(value);
    return isKnown ? null : `${path}: expected one of ${kind.oneOf.join(', ')}, got ${describe(value)}`;
  }
  if ('itemFields' in kind) return wrongItems(value, kind, path, depth);
  if (value === null && kind.isNullable === true) return null;
  if (value === undefined && kind.isOptional === true) return null;
  if (!isObject(value)) return `${path}: expected an object, got ${describe(value)}`;
  return wrongFields(value, kind.fields, `${path}.`, depth);
}

function wrongItems(value: unknown, { itemFields }: ListShape, path: string, depth: number): string | null {
  if (!Array.isArray(value)) return `${path}: expected a list, got ${describe(value)}`;
  for (const [i, item] of value.entries()) {
    const wrong = wrongValue(item, { fields: itemFields }, `${path}[${i}]`, depth);
    if (wrong !== null) return wrong;
  }
  return null;
}

function wrongCommands(value: unknown, path: string, depth: number): string | null {
  if (!Array.isArray(value)) return `${path}: expected a list of commands, got ${describe(value)}`;
  if (depth >= DEPTH_MAX) return `${path}: lists of commands are nested more than ${DEPTH_MAX} deep`;
  for (const [i, command] of value.entries()) {
    const wrong = wrongCommand(command, depth + 1);
    if (wrong !== null) return `${path}[${i}]: ${wrong}`;
  }
  return null;
}

function isOfKind(value: unknown, kind: Exclude<Kind, Shape | 'commands'>, depth: number): boolean {
  switch (kind) {
    case 'text':
      return typeof value === 'string';
    case 'text|null':
      return value === null || typeof value === 'string';
    case 'int':
      return Number.isSafeInteger(value);
    case 'int|null':
      return value === null || Number.isSafeInteger(value);
    case 'flag':
      return typeof value === 'boolean';
    case 'texts':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'table':
      return isFieldTable(value, depth);
    case 'object':
      return isObject(value);
    case 'any':
      return value !== undefined;
  }
}

function isFieldTable(value: unknown, depth: number): boolean {
  return Array.isArray(value) && value.every((entry) => isTableEntry(entry, depth + 1));
}

function isTableEntry(entry: unknown, depth: number): boolean {
  return Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && isFieldValue(entry[1], depth);
}

function isFieldValue(value: unknown, depth: number): boolean {
  if (!isObject(value) || depth > DEPTH_MAX) return false;
  switch (value.t) {
    case 't':
      return typeof value.v === 'boolean';
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'd':
    case 'f':
      return typeof value.v === 'number';
    case 'l':
    case 'T':
      return typeof value.v === 'number' || typeof value.v === 'string';
    case 'D':
      return typeof value.v === 'number' && typeof value.scale === 'number';
    case 'S':
    case 'x':
      return typeof value.v === 'string';
    case 'A':
      return Array.isArray(value.v) && value.v.every((item) => isFieldValue(item, depth + 1));
    case 'F':
      return isFieldTable(value.v, depth);
    case 'V':
      return true;
    default:
      return false;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return String(value);
}
