/**
 * An `AdminOperations` without a broker: fixed tables, and a record of what was
 * asked for.
 */
import {
  type AdminOperations,
  AdminRefusal,
  type Cell,
  type ClusterStatus,
  type NodeStatus,
  type TableKind,
} from '../../../node/admin/operations.ts';

export const fakeStatus: NodeStatus = {
  pid: 42,
  os: 'Linux',
  uptimeSeconds: 7,
  nodeName: 'rabbit@fake',
  rabbitmqVersion: '3.13.7',
  warrenVersion: '0.1.0',
  runtime: 'Node',
  dataDirectory: '/d',
  configFiles: [],
  alarms: [],
  memoryUsedBytes: 1e8,
  memoryLimitBytes: 1e9,
  heapUsedBytes: 1e7,
  heapLimitBytes: 2e9,
  diskFreeBytes: 1e10,
  diskLimitBytes: 5e7,
  connections: 1,
  queues: 2,
  vhosts: 1,
  listeners: [{ interface: '[::]', port: 5672, protocol: 'amqp', purpose: 'AMQP 0-9-1' }],
  clusterName: 'rabbit@fake',
};

/** Two discs, one of them down, and a ram node that did not answer. */
export const fakeCluster: ClusterStatus = {
  clusterName: 'fakes',
  members: [
    { name: 'rabbit@fake', kind: 'disc', isRunning: true, report: { ...fakeStatus, alarms: ['memory', 'disk'] } },
    { name: 'rabbit@down', kind: 'disc', isRunning: false, report: null },
    { name: 'rabbit@mute', kind: 'ram', isRunning: true, report: null },
  ],
};

export interface FakeTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  readonly notes?: readonly string[];
}

export interface FakeOperations extends AdminOperations {
  /** `users.add alice`, in order. */
  readonly calls: string[];
  readonly cluster: AdminOperations['cluster'];
  readonly tables: AdminOperations['tables'];
  /** What `list` answers for a kind. */
  readonly tableByKind: Map<TableKind, FakeTable>;
  /** Thrown by the next call that changes something. */
  nextRefusal: AdminRefusal | null;
}

export function createFakeOperations(): FakeOperations {
  const calls: string[] = [];
  const tableByKind = new Map<TableKind, FakeTable>();
  const fake: FakeOperations = {
    calls,
    tableByKind,
    nextRefusal: null,
    node: { name: 'rabbit@fake', status: () => fakeStatus, requestStop: () => void calls.push('stop') },
    cluster: {
      status: async () => fakeCluster,
      runningNodes: () => {
        calls.push('runningNodes');
        const count = calls.filter((call) => call === 'runningNodes').length;
        return Array.from({ length: count }, (_, index) => `rabbit@${index}`);
      },
      forget: (name) => record(`forget ${name}`),
    },
    tables: {
      list: (kind, vhost, columns, scope) => {
        calls.push(`list ${kind} ${vhost} ${columns.join(',')}${scope === 'all' ? '' : ` ${scope}`}`);
        if (columns.includes('nope')) throw new AdminRefusal('bad-columns', 'Info key(s) nope are not supported');
        throwNext();
        return { columns: ['name'], rows: [], notes: [], ...tableByKind.get(kind) };
      },
    },
    users: {
      add: (name, password) => record(`add ${name} ${password.passwordHash ?? password.password}`),
      delete: (name) => record(`delete ${name}`),
      changePassword: (name, password) => record(`changePassword ${name} ${password}`),
      setTags: (name, tags) => record(`setTags ${name} ${tags.join(',')}`),
      setPermissions: (vhost, user, { configure, write, read }) =>
        record(`setPermissions ${vhost} ${user} ${configure}|${write}|${read}`),
      clearPermissions: (vhost, user) => record(`clearPermissions ${vhost} ${user}`),
    },
    vhosts: {
      add: ({ name, description, tags }) => record(`addVhost ${name} ${description} ${tags.join(',')}`),
      setTracing: (name, isTracing) => record(`setTracing ${name} ${isTracing}`),
      delete: (name) => record(`deleteVhost ${name}`),
    },
    policies: {
      set: (policy, isOperator) =>
        record(`${isOperator ? 'setOperatorPolicy' : 'setPolicy'} ${Object.values(policy).join(' ')}`),
      clear: (vhost, name, isOperator) =>
        record(`${isOperator ? 'clearOperatorPolicy' : 'clearPolicy'} ${vhost} ${name}`),
    },
    queues: {
      purge: async (vhost, name) => {
        await record(`purge ${vhost} ${name}`);
        return 3;
      },
      delete: async (vhost, name, { ifEmpty, ifUnused }) => {
        await record(`deleteQueue ${vhost} ${name} ${ifEmpty} ${ifUnused}`);
        return 1;
      },
    },
    definitions: {
      export: () => '{"users":[]}',
      import: async (json) => {
        await record(`import ${json}`);
        return [];
      },
    },
  };
  return fake;

  async function record(call: string): Promise<void> {
    throwNext();
    calls.push(call);
  }

  function throwNext(): void {
    const refusal = fake.nextRefusal;
    fake.nextRefusal = null;
    if (refusal !== null) throw refusal;
  }
}
