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
    summary: 'Lists AMQP 0.9.1 connections of all nodes',
    hasVhost: false,
    hasColumns: true,
    banner: () => 'Listing connections ...',
  },
  {
    name: 'list_channels',
    method: 'ListChannels',
    group: monitoring,
    usage: '[--no-table-headers] [<column> ...]',
    summary: 'Lists all channels of all nodes',
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
  {
    name: 'list_policies',
    method: 'ListPolicies',
    group: 'Policies',
    usage: '[--vhost <vhost>] [--no-table-headers]',
    summary: 'Lists all policies in a virtual host',
    hasVhost: true,
    hasColumns: false,
    banner: (options) => `Listing policies for vhost "${options.vhost}" ...`,
  },
  {
    name: 'list_operator_policies',
    method: 'ListOperatorPolicies',
    group: 'Policies',
    usage: '[--vhost <vhost>] [--no-table-headers]',
    summary: 'Lists operator policy overrides for a virtual host',
    hasVhost: true,
    hasColumns: false,
    banner: (options) => `Listing operator policy overrides for vhost "${options.vhost}" ...`,
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
  const { online, offline, local } = context.options.own;
  const scope = { onlyOnline: online === true, onlyOffline: offline === true, onlyLocal: local === true };
  const request = { vhost: context.options.vhost, columns, ...scope };
  let isBegun = false;
  const notes: string[] = [];
  for await (const page of context.link.stream(declaration.method, request)) {
    if (!isBegun) context.table.begin(textsOf(page, 'columns'));
    isBegun = true;
    for (const row of messagesOf(page, 'rows')) context.table.row(cellsOf(row));
    notes.push(...textsOf(page, 'notes'));
  }
  if (isBegun) context.table.end();
  // Also beside formats for machines, which read standard output.
  for (const note of notes) context.world.writeErr(`Warning: ${note}\n`);
}

function cellsOf(row: Fields): readonly Cell[] {
  return messagesOf(row, 'cells').map(cellFromMessage);
}
