/**
 * warrenctl's commands about the node itself: ping, version, status, stop, and
 * the two that people type where the answer is another program.
 */
import { type Fields, messagesOf, numberOf, textOf, textsOf } from '../admin/admin-codec.ts';
import type { CliCommand, CommandContext } from './command.ts';

const bold = (text: string): string => `\x1b[1m${text}\x1b[0m`;

const plain = {
  argsMin: 0,
  argsMax: 0,
  ownOptions: [],
  hasVhost: false,
  check: () => {},
} as const;

export const nodeCommands: readonly CliCommand[] = [
  {
    ...plain,
    name: 'ping',
    group: 'Monitoring, observability and health checks',
    usage: '',
    summary: 'Checks that the node OS process is up and CLI tools can authenticate with it',
    banner: (_args, options, nodeName) =>
      `Will ping ${nodeName}. This only checks if the OS process is running and registered with epmd. Timeout: ${options.timeoutSeconds * 1000} ms.`,
    run: async ({ link, print }) => {
      await link.call('Ping', {});
      print('Ping succeeded\n');
    },
  },
  {
    ...plain,
    name: 'status',
    group: 'Monitoring, observability and health checks',
    usage: '[--timeout <timeout>]',
    summary: 'Displays status of a node',
    banner: (_args, _options, nodeName) => `Status of node ${nodeName} ...`,
    run: async (context) => {
      const status = await context.link.call('Status', {});
      context.print(context.isJson ? `${JSON.stringify(statusJson(status))}\n` : statusText(status));
    },
  },
  {
    ...plain,
    name: 'stop',
    group: 'Nodes',
    usage: '[--idempotent] [<pidfile>]',
    summary: 'Stops the node: its process ends.',
    argsMax: 1,
    ownOptions: ['idempotent'],
    banner: (_args, _options, nodeName) => `Stopping and halting node ${nodeName} ...`,
    run: stop,
  },
  {
    ...plain,
    name: 'start_app',
    group: 'Nodes',
    usage: '',
    summary: 'Says how to start a node that was stopped',
    banner: (_args, _options, nodeName) => `Starting node ${nodeName} ...`,
    run: async ({ link }) => void (await link.call('Ping', {})),
  },
];

/** The process is asked to stop; the command waits until nobody answers. */
async function stop({ link, options }: CommandContext): Promise<void> {
  await link.call('Stop', {});
  const untilMs = Date.now() + options.timeoutSeconds * 1000;
  while (Date.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    try {
      await link.call('Ping', {});
    } catch {
      return; // expected: it no longer answers
    }
  }
}

/** Keys of rabbitmqctl's, and Warren's own name and version beside them. */
function statusJson(status: Fields): Record<string, unknown> {
  return {
    pid: numberOf(status, 'pid'),
    os: textOf(status, 'os'),
    uptime: numberOf(status, 'uptimeSeconds'),
    is_under_maintenance: false,
    rabbitmq_version: textOf(status, 'rabbitmqVersion'),
    product_name: 'RabbitMQ',
    warren_version: textOf(status, 'warrenVersion'),
    node_name: textOf(status, 'nodeName'),
    cluster_name: textOf(status, 'clusterName'),
    erlang_version: textOf(status, 'runtime'),
    active_plugins: [],
    data_directory: textOf(status, 'dataDirectory'),
    config_files: textsOf(status, 'configFiles'),
    alarms: textsOf(status, 'alarms'),
    memory: {
      strategy: 'rss',
      total: { rss: numberOf(status, 'memoryUsedBytes'), heap: numberOf(status, 'heapUsedBytes') },
    },
    vm_memory_high_watermark_limit: numberOf(status, 'memoryLimitBytes'),
    heap_limit: numberOf(status, 'heapLimitBytes'),
    disk_free: numberOf(status, 'diskFreeBytes'),
    disk_free_limit: numberOf(status, 'diskLimitBytes'),
    totals: {
      connection_count: numberOf(status, 'connections'),
      queue_count: numberOf(status, 'queues'),
      virtual_host_count: numberOf(status, 'vhosts'),
    },
    listeners: messagesOf(status, 'listeners').map((listener) => ({
      node: textOf(status, 'nodeName'),
      interface: textOf(listener, 'interface'),
      port: numberOf(listener, 'port'),
      protocol: textOf(listener, 'protocol'),
      purpose: textOf(listener, 'purpose'),
    })),
  };
}

function statusText(status: Fields): string {
  const gigabytes = (name: string): string => `${Number((numberOf(status, name) / 1e9).toFixed(4))} gb`;
  const files = textsOf(status, 'configFiles').map((file) => ` * ${file}`);
  const alarms = textsOf(status, 'alarms');
  const listeners = messagesOf(status, 'listeners').map(
    (listener) =>
      `Interface: ${textOf(listener, 'interface')}, port: ${numberOf(listener, 'port')}, protocol: ${textOf(listener, 'protocol')}, purpose: ${textOf(listener, 'purpose')}`,
  );
  const sections: readonly (readonly [string, readonly string[]])[] = [
    [
      'Runtime',
      [
        `OS PID: ${numberOf(status, 'pid')}`,
        `OS: ${textOf(status, 'os')}`,
        `Uptime (seconds): ${numberOf(status, 'uptimeSeconds')}`,
        'Is under maintenance?: false',
        `RabbitMQ version: ${textOf(status, 'rabbitmqVersion')}`,
        `Warren version: ${textOf(status, 'warrenVersion')}`,
        `Node name: ${textOf(status, 'nodeName')}`,
        `Cluster name: ${textOf(status, 'clusterName')}`,
        `Runtime: ${textOf(status, 'runtime')}`,
      ],
    ],
    ['Data directory', [`Node data directory: ${textOf(status, 'dataDirectory')}`]],
    ['Config files', files.length === 0 ? ['(none)'] : files],
    ['Alarms', alarms.length === 0 ? ['(none)'] : alarms],
    [
      'Memory',
      [
        `Total memory used: ${gigabytes('memoryUsedBytes')}`,
        'Calculation strategy: rss',
        `Memory high watermark: ${gigabytes('memoryLimitBytes')}`,
        `Heap used: ${gigabytes('heapUsedBytes')}, limit: ${gigabytes('heapLimitBytes')}`,
      ],
    ],
    [
      'Free Disk Space',
      [
        `Low free disk space watermark: ${gigabytes('diskLimitBytes')}`,
        `Free disk space: ${numberOf(status, 'diskFreeBytes') < 0 ? 'unknown' : gigabytes('diskFreeBytes')}`,
      ],
    ],
    [
      'Totals',
      [
        `Connection count: ${numberOf(status, 'connections')}`,
        `Queue count: ${numberOf(status, 'queues')}`,
        `Virtual host count: ${numberOf(status, 'vhosts')}`,
      ],
    ],
    ['Listeners', listeners.length === 0 ? ['(none)'] : listeners],
  ];
  return `${sections.map(([title, lines]) => `${bold(title)}\n\n${lines.join('\n')}\n`).join('\n')}`;
}
