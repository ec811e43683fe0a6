/**
 * warrenctl's list commands: which table, which banner, which columns.
 */
import { cellFromMessage, type Fields, messagesOf, textsOf } from '../admin/admin-codec.ts';
import type { Cell } from '../admin/operations.ts';
import type { CliCommand, CommandContext } from './command.ts';
import type { CliOptions } from './options.ts';

interface ListDeclaration {
  readonly name: string;
  readonly method: string;
  readonly group: string;
  readonly usage: string;
  readonly summary: string;
  readonly hasVhost: boolean;
  readonly hasColumns: boolean;
  readonly ownOptions?: readonly string[];
  banner(options: CliOptions): string;
}

const monitoring = 'Monitoring, observability and health checks';

const declarations: readonly ListDeclaration[] = [
  {
    name: 'list_queues',
    method: 'ListQueues',
    group: monitoring,
    usage:
      '[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] [--timeout <timeout>]',
    summary: 'Lists queues and their properties',
    hasVhost: true,
    hasColumns: true,
    ownOptions: ['online', 'offline', 'local'],
    banner: (options) =>
      `Timeout: ${options.timeoutSeconds.toFixed(1)} seconds ...\nListing queues for vhost ${options.vhost} ...`,
  },
  {
    name: 'list_exchanges',
    method: 'ListExchanges',
    group: monitoring,
    usage: '[--vhost <vhost>] [--no-table-headers] [<column>, ...]',
    summary: 'Lists exchanges',
    hasVhost: true,
    hasColumns: true,
    banner: (options) => `Listing exchanges for vhost ${options.vhost} ...`,
  },
  {
    name: 'list_bindings',
    method: 'ListBindings',
    group: monitoring,
    usage: '[--vhost <vhost>] [--no-table-headers] [<column> ...]',
    summary: 'Lists all bindings on a vhost',
    hasVhost: true,
    hasColumns: true,
    banner: (options) => `Listing bindings for vhost ${options.vhost}...`,
  },
  {
    name: 'list_connections',
    method: 'ListConnections',
    group: monitoring,
    usage: '[--no-table-headers] [<column> ...]',
    summary: 'Lists AMQP 0.9.1 connections for the node',
    hasVhost: false,
    hasColumns: true,
    banner: () => 'Listing connections ...',
  },
  {
    name: 'list_channels',
    method: 'ListChannels',
    group: monitoring,
    usage: '[--no-table-headers] [<column> ...]',
    summary: 'Lists all channels in the node',
    hasVhost: false,
    hasColumns: true,
    banner: () => 'Listing channels ...',
  },
  {
    name: 'list_consumers',
    method: 'ListConsumers',
    group: monitoring,
    usage: '[--vhost <vhost>] [--no-table-headers] [<column> ...]',
    summary: 'Lists all consumers for a vhost',
    hasVhost: true,
    hasColumns: true,
    banner: (options) => `Listing consumers in vhost ${options.vhost} ...`,
  },
  {
    name: 'list_users',
    method: 'ListUsers',
    group: 'Users',
    usage: '[--no-table-headers]',
    summary: 'List user names and tags',
    hasVhost: false,
    hasColumns: false,
    banner: () => 'Listing users ...',
  },
  {
    name: 'list_vhosts',
    method: 'ListVhosts',
    group: 'Access Control',
    usage: '[--no-table-headers] [<column> ...]',
    summary: 'Lists virtual hosts',
    hasVhost: false,
    hasColumns: true,
    banner: () => 'Listing vhosts ...',
  },
  {
    name: 'list_permissions',
    method: 'ListPermissions',
    group: 'Access Control',
    usage: '[--vhost <vhost>] [--no-table-headers]',
    summary: 'Lists user permissions in a virtual host',
    hasVhost: true,
    hasColumns: false,
    banner: (options) => `Listing permissions for vhost "${options.vhost}" ...`,
  },
];

export const listCommands: readonly CliCommand[] = declarations.map((declaration) => ({
  name: declaration.name,
  group: declaration.group,
  usage: declaration.usage,
  summary: declaration.summary,
  argsMin: 0,
  argsMax: declaration.hasColumns ? Number.POSITIVE_INFINITY : 0,
  ownOptions: declaration.ownOptions ?? [],
  hasVhost: declaration.hasVhost,
  banner: (_args, options) => declaration.banner(options),
  check: () => {},
  run: (context) => list(declaration, context),
}));

async function list(declaration: ListDeclaration, context: CommandContext): Promise<void> {
  const columns = context.args.flatMap((word) => word.split(',')).filter((word) => word !== '');
  // One node: every queue is online and local.
  const isNone = context.options.own['offline'] === true && context.options.own['online'] !== true;
  let isBegun = false;
  for await (const page of context.link.stream(declaration.method, { vhost: context.options.vhost, columns })) {
    if (!isBegun) context.table.begin(textsOf(page, 'columns'));
    isBegun = true;
    if (isNone) continue;
    for (const row of messagesOf(page, 'rows')) context.table.row(cellsOf(row));
  }
  if (isBegun) context.table.end();
}

function cellsOf(row: Fields): readonly Cell[] {
  return messagesOf(row, 'cells').map(cellFromMessage);
}
