/**
 * The methods of admin.proto as one table: each name with what it does to
 * `AdminOperations`. Knows messages, not gRPC: `admin-server` carries it.
 *
 * Three kinds: `open` (before a token), `unary`, `table` and `stream` of
 * definitions. A method of the .proto file that is missing here ends the
 * start of the server.
 */
import type { AdminAuth } from './admin-auth.ts';
import { tokenLifetimeMs } from './admin-auth.ts';
import { bytesOf, type Fields, flagOf, numberOf, textOf, textsOf } from './admin-codec.ts';
import type { AdminOperations, MemberStatus, QueueScope, Table, TableKind } from './operations.ts';

/** A caller of an open method that is declined: wrong proof or malformed. */
export class AuthenticationFailed extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'AuthenticationFailed';
  }
}

export type AdminMethod =
  | { readonly kind: 'open'; handle(auth: AdminAuth, peer: string, request: Fields): Fields }
  | { readonly kind: 'unary'; handle(operations: AdminOperations, request: Fields): Promise<Fields> | Fields }
  | { readonly kind: 'table'; handle(operations: AdminOperations, request: Fields): Table }
  | { readonly kind: 'export'; handle(operations: AdminOperations): string }
  | { readonly kind: 'import'; handle(operations: AdminOperations, json: string): Promise<Fields> };

function table(kind: TableKind): AdminMethod {
  return {
    kind: 'table',
    handle: (operations, request) =>
      operations.tables.list(kind, textOf(request, 'vhost'), textsOf(request, 'columns'), scopeOf(request)),
  };
}

/** As rabbitmqctl takes them: local before the others, both of the others for all. */
function scopeOf(request: Fields): QueueScope {
  if (flagOf(request, 'onlyLocal')) return 'local';
  const [isOnline, isOffline] = [flagOf(request, 'onlyOnline'), flagOf(request, 'onlyOffline')];
  if (isOnline === isOffline) return 'all';
  return isOnline ? 'online' : 'offline';
}

function unary(handle: (operations: AdminOperations, request: Fields) => Promise<Fields> | Fields): AdminMethod {
  return { kind: 'unary', handle };
}

function action(handle: (operations: AdminOperations, request: Fields) => Promise<void>): AdminMethod {
  return unary(async (operations, request) => {
    await handle(operations, request);
    return {};
  });
}

function setPolicy(isOperator: boolean): AdminMethod {
  return action((operations, request) => {
    const applyTo = textOf(request, 'applyTo');
    const policy = {
      vhost: textOf(request, 'vhost'),
      name: textOf(request, 'name'),
      pattern: textOf(request, 'pattern'),
      definition: textOf(request, 'definition'),
      priority: numberOf(request, 'priority'),
      applyTo: applyTo === '' ? 'all' : applyTo,
    };
    return operations.policies.set(policy, isOperator);
  });
}

function clearPolicy(isOperator: boolean): AdminMethod {
  return action((operations, request) =>
    operations.policies.clear(textOf(request, 'vhost'), textOf(request, 'name'), isOperator),
  );
}

export const adminMethods: Readonly<Record<string, AdminMethod>> = {
  Challenge: { kind: 'open', handle: challenge },
  Authenticate: { kind: 'open', handle: authenticate },

  Ping: unary((operations) => ({ nodeName: operations.node.name })),
  Version: unary((operations) => {
    const { rabbitmqVersion, warrenVersion } = operations.node.status();
    return { rabbitmqVersion, warrenVersion };
  }),
  Status: unary((operations) => ({ ...operations.node.status() })),
  Stop: unary((operations) => {
    operations.node.requestStop();
    return {};
  }),

  ClusterStatus: unary(async (operations) => {
    const { clusterName, members } = await operations.cluster.status();
    return { clusterName, members: members.map(memberFields) };
  }),
  RunningNodes: unary((operations) => ({ names: operations.cluster.runningNodes() })),
  ForgetClusterNode: action((operations, request) => operations.cluster.forget(textOf(request, 'name'))),

  ListQueues: table('queues'),
  ListExchanges: table('exchanges'),
  ListBindings: table('bindings'),
  ListConnections: table('connections'),
  ListChannels: table('channels'),
  ListConsumers: table('consumers'),
  ListUsers: table('users'),
  ListVhosts: table('vhosts'),
  ListPermissions: table('permissions'),

  AddUser: action((operations, request) => {
    const passwordHash = textOf(request, 'passwordHash');
    const password = passwordHash === '' ? textOf(request, 'password') : null;
    return operations.users.add(textOf(request, 'name'), {
      password,
      passwordHash: passwordHash === '' ? null : passwordHash,
    });
  }),
  DeleteUser: action((operations, request) => operations.users.delete(textOf(request, 'name'))),
  ChangePassword: action((operations, request) =>
    operations.users.changePassword(textOf(request, 'name'), textOf(request, 'password')),
  ),
  SetUserTags: action((operations, request) =>
    operations.users.setTags(textOf(request, 'name'), textsOf(request, 'tags')),
  ),
  SetPermissions: action((operations, request) =>
    operations.users.setPermissions(textOf(request, 'vhost'), textOf(request, 'user'), {
      configure: textOf(request, 'configure'),
      write: textOf(request, 'write'),
      read: textOf(request, 'read'),
    }),
  ),
  ClearPermissions: action((operations, request) =>
    operations.users.clearPermissions(textOf(request, 'vhost'), textOf(request, 'user')),
  ),

  AddVhost: action((operations, request) => {
    const defaultQueueType = textOf(request, 'defaultQueueType');
    return operations.vhosts.add({
      name: textOf(request, 'name'),
      description: textOf(request, 'description'),
      tags: textsOf(request, 'tags'),
      defaultQueueType: defaultQueueType === '' ? null : defaultQueueType,
    });
  }),
  SetTracing: action((operations, request) =>
    operations.vhosts.setTracing(textOf(request, 'vhost'), flagOf(request, 'isTracing')),
  ),
  DeleteVhost: action((operations, request) => operations.vhosts.delete(textOf(request, 'name'))),

  SetPolicy: setPolicy(false),
  ClearPolicy: clearPolicy(false),
  ListPolicies: table('policies'),
  SetOperatorPolicy: setPolicy(true),
  ClearOperatorPolicy: clearPolicy(true),
  ListOperatorPolicies: table('operator-policies'),

  PurgeQueue: unary(async (operations, request) => ({
    count: await operations.queues.purge(textOf(request, 'vhost'), textOf(request, 'name')),
  })),
  DeleteQueue: unary(async (operations, request) => ({
    count: await operations.queues.delete(textOf(request, 'vhost'), textOf(request, 'name'), {
      ifEmpty: flagOf(request, 'ifEmpty'),
      ifUnused: flagOf(request, 'ifUnused'),
    }),
  })),

  ExportDefinitions: { kind: 'export', handle: (operations) => operations.definitions.export() },
  ImportDefinitions: {
    kind: 'import',
    handle: async (operations, json) => ({ notes: await operations.definitions.import(json) }),
  },
};

function memberFields({ name, kind, isRunning, report }: MemberStatus): Fields {
  return { name, isRam: kind === 'ram', isRunning, ...(report === null ? {} : { report }) };
}

function challenge(auth: AdminAuth, peer: string, request: Fields): Fields {
  const reply = auth.challenge(peer, bytesOf(request, 'clientNonce'));
  if (reply === null) throw new AuthenticationFailed('expected a nonce of 32 bytes');
  return { ...reply };
}

function authenticate(auth: AdminAuth, peer: string, request: Fields): Fields {
  const token = auth.authenticate(
    peer,
    bytesOf(request, 'clientNonce'),
    bytesOf(request, 'serverNonce'),
    bytesOf(request, 'clientProof'),
  );
  if (token === null)
    throw new AuthenticationFailed(
      'the cookies of client and node differ, or the challenge was used before or is over 30 s old',
    );
  return { token, lifetimeSeconds: tokenLifetimeMs / 1000 };
}
