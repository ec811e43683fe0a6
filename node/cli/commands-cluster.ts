/**
 * warrenctl's commands about the cluster that the node belongs to: who is in it,
 * waiting until enough of it runs, taking out a node that will not come back.
 *
 * Source: output of rabbitmqctl 3.10 for a cluster of two, one of them stopped.
 */
import { type Fields, flagOf, messagesOf, numberOf, textOf, textsOf } from '../admin/admin-codec.ts';
import { LinkFault } from './admin-link.ts';
import type { CliCommand, CommandContext } from './command.ts';
import { CommandFailure, ExitCode } from './exit-code.ts';

const bold = (text: string): string => `\x1b[1m${text}\x1b[0m`;
const POLL_MS = 200;

export const clusterCommands: readonly CliCommand[] = [
  {
    name: 'cluster_status',
    group: 'Cluster',
    usage: '[--timeout <timeout>]',
    summary: 'Displays all the nodes in the cluster grouped by node type, together with the currently running nodes',
    argsMin: 0,
    argsMax: 0,
    ownOptions: [],
    hasVhost: false,
    banner: (_args, _options, nodeName) => `Cluster status of node ${nodeName} ...`,
    check: () => {},
    run: async ({ link, isJson, print }) => {
      const status = await link.call('ClusterStatus', {});
      const members = messagesOf(status, 'members').map(memberOf);
      const clusterName = textOf(status, 'clusterName');
      print(isJson ? `${JSON.stringify(clusterJson(clusterName, members))}\n` : clusterText(clusterName, members));
    },
  },
  {
    name: 'await_online_nodes',
    group: 'Cluster',
    usage: '<count> [--timeout <timeout>]',
    summary: 'Waits for <count> nodes to join the cluster',
    argsMin: 1,
    argsMax: 1,
    ownOptions: [],
    hasVhost: false,
    banner: ([count], { timeoutSeconds }, nodeName) =>
      `Will wait for at least ${count} nodes to join the cluster of ${nodeName}. Timeout: ${Math.trunc(timeoutSeconds)} seconds.`,
    check: ([count]) => {
      if (!/^[1-9]\d{0,5}$/.test(count ?? '')) {
        throw new CommandFailure(ExitCode.data, 'Bad argument: Argument must be a positive integer');
      }
    },
    run: awaitOnlineNodes,
  },
  {
    name: 'forget_cluster_node',
    group: 'Cluster',
    usage: '<existing_cluster_member_node>',
    summary: 'Removes a node that is down from the cluster, with the queues that only it holds',
    argsMin: 1,
    argsMax: 1,
    ownOptions: ['offline'],
    hasVhost: false,
    banner: ([name]) => `Removing node ${name} from the cluster`,
    check: (_args, options) => {
      if (options.own['offline'] !== true) return;
      const text = '--offline is not supported: ask a node that runs, most of the disc nodes must run to agree on it';
      throw new CommandFailure(ExitCode.usage, text);
    },
    run: async ({ link, args }) => void (await link.call('ForgetClusterNode', { name: args[0] })),
  },
];

async function awaitOnlineNodes({ link, args, options, nodeName }: CommandContext): Promise<void> {
  const wanted = Number(args[0]);
  const untilMs = Date.now() + options.timeoutSeconds * 1000;
  for (let running = -1; running < wanted; ) {
    if (running >= 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    try {
      running = textsOf(await link.call('RunningNodes', {}), 'names').length;
    } catch (error) {
      // The link ends at the same time.
      if (!(error instanceof LinkFault) || error.kind !== 'timeout') throw error;
    }
    if (running < wanted && Date.now() >= untilMs) {
      const text = `Error: timed out while waiting. Not enough nodes joined ${nodeName}'s cluster.`;
      throw new CommandFailure(ExitCode.software, text);
    }
  }
}

interface Member {
  readonly name: string;
  readonly isRam: boolean;
  readonly isRunning: boolean;
  /** Null: it did not answer. */
  readonly report: Fields | null;
}

function memberOf(fields: Fields): Member {
  const report = fields['report'];
  return {
    name: textOf(fields, 'name'),
    isRam: flagOf(fields, 'isRam'),
    isRunning: flagOf(fields, 'isRunning'),
    report: typeof report === 'object' && report !== null ? (report as Fields) : null, // a message is an object of fields
  };
}

const namesOf = (members: readonly Member[]): readonly string[] => members.map(({ name }) => name);

/** Keys of rabbitmqctl's, and Warren's own version beside RabbitMQ's. */
function clusterJson(clusterName: string, members: readonly Member[]): Record<string, unknown> {
  const running = members.filter(({ isRunning }) => isRunning);
  const byName = (read: (member: Member, report: Fields) => unknown): Record<string, unknown> =>
    Object.fromEntries(
      members.flatMap((member) => {
        const { name, report } = member;
        return report === null ? [] : [[name, read(member, report)]];
      }),
    );
  return {
    alarms: members.flatMap(alarmLines),
    cluster_name: clusterName,
    disk_nodes: namesOf(members.filter(({ isRam }) => !isRam)),
    feature_flags: [],
    listeners: byName(({ name }, report) =>
      messagesOf(report, 'listeners').map((listener) => ({
        interface: textOf(listener, 'interface'),
        node: name,
        port: numberOf(listener, 'port'),
        protocol: textOf(listener, 'protocol'),
        purpose: textOf(listener, 'purpose'),
      })),
    ),
    maintenance_status: Object.fromEntries(running.map(({ name }) => [name, 'not under maintenance'])),
    partitions: {},
    ram_nodes: namesOf(members.filter(({ isRam }) => isRam)),
    running_nodes: namesOf(running),
    versions: byName((_member, report) => ({
      erlang_version: textOf(report, 'runtime'),
      rabbitmq_name: 'RabbitMQ',
      rabbitmq_version: textOf(report, 'rabbitmqVersion'),
      warren_version: textOf(report, 'warrenVersion'),
    })),
  };
}

function clusterText(clusterName: string, members: readonly Member[]): string {
  const running = members.filter(({ isRunning }) => isRunning);
  const ram = namesOf(members.filter(({ isRam }) => isRam));
  const versions = running.map(({ name, report }) =>
    report === null
      ? `${name}: (did not answer)`
      : `${name}: RabbitMQ ${textOf(report, 'rabbitmqVersion')} (Warren ${textOf(report, 'warrenVersion')}) on ${textOf(report, 'runtime')}`,
  );
  const listeners = members.flatMap(({ name, report }) =>
    messagesOf(report ?? {}, 'listeners').map(
      (listener) =>
        `Node: ${name}, interface: ${textOf(listener, 'interface')}, port: ${numberOf(listener, 'port')}, protocol: ${textOf(listener, 'protocol')}, purpose: ${textOf(listener, 'purpose')}`,
    ),
  );
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['Basics', [`Cluster name: ${clusterName}`]],
    ['Disk Nodes', namesOf(members.filter(({ isRam }) => !isRam))],
    ...(ram.length === 0 ? [] : [['RAM Nodes', ram] as const]),
    ['Running Nodes', namesOf(running)],
    ['Versions', versions],
    ['Maintenance status', running.map(({ name }) => `Node: ${name}, status: not under maintenance`)],
    ['Alarms', members.flatMap(alarmLines)],
    ['Network Partitions', []],
    ['Listeners', listeners],
    ['Feature flags', []],
  ];
  const shown = sections.map(
    ([title, lines]) => `${bold(title)}\n\n${(lines.length === 0 ? ['(none)'] : lines).join('\n')}\n`,
  );
  return shown.join('\n');
}

function alarmLines({ name, report }: Member): readonly string[] {
  return textsOf(report ?? {}, 'alarms').map(
    (alarm) => `${alarm === 'memory' ? 'Memory' : 'Free disk space'} alarm on node ${name}`,
  );
}
