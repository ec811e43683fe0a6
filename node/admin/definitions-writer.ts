/**
 * Writes RabbitMQ's definitions.json from the metadata: everything durable
 * that people declared, nothing that every node has by itself.
 */
import type { MetadataView } from '../../cluster/metadata-client.ts';
import { plainTable } from './plain-table.ts';

const rabbitmqVersion = '3.13.7';

export function writeDefinitions(view: MetadataView): string {
  const cluster = view.get('cluster', 'cluster');
  const globals = [...view.rows('parameters')].filter((row) => row.vhost === '');
  const definitions = {
    rabbit_version: rabbitmqVersion,
    rabbitmq_version: rabbitmqVersion,
    product_name: 'RabbitMQ',
    product_version: rabbitmqVersion,
    users: [...view.rows('users')].map((row) => ({
      name: row.name,
      password_hash: row.passwordHash,
      hashing_algorithm: row.hashingAlgorithm,
      tags: row.tags,
      limits: limits({ 'max-connections': row.maxConnections, 'max-channels': row.maxChannels }),
    })),
    vhosts: [...view.rows('vhosts')].map((row) => ({
      name: row.name,
      description: row.description,
      tags: row.tags,
      metadata: {
        description: row.description,
        tags: row.tags,
        ...(row.defaultQueueType === null ? {} : { default_queue_type: row.defaultQueueType }),
      },
      limits: Object.entries(limits({ 'max-connections': row.maxConnections, 'max-queues': row.maxQueues })).map(
        ([name, value]) => ({ name, value }),
      ),
    })),
    permissions: [...view.rows('permissions')].map(({ user, vhost, configure, write, read }) => ({
      user,
      vhost,
      configure,
      write,
      read,
    })),
    topic_permissions: [...view.rows('topicPermissions')].map(({ user, vhost, exchange, write, read }) => ({
      user,
      vhost,
      exchange,
      write,
      read,
    })),
    parameters: [
      ...[...view.rows('parameters')].filter((row) => row.vhost !== ''),
      ...operatorPolicies(view),
      ...vhostLimits(view),
    ],
    global_parameters: [
      ...(cluster === null ? [] : [{ name: 'cluster_name', value: cluster.name }]),
      ...globals.map(({ name, value }) => ({ name, value })),
    ],
    policies: [...view.rows('policies')].map(({ vhost, name, pattern, applyTo, definition, priority }) => ({
      vhost,
      name,
      pattern,
      'apply-to': applyTo,
      definition,
      priority,
    })),
    queues: durableQueues(view),
    exchanges: durableExchanges(view),
    bindings: durableBindings(view),
  };
  return JSON.stringify(definitions);
}

/** RabbitMQ's export has these among the parameters. */
function operatorPolicies(view: MetadataView): readonly object[] {
  return [...view.rows('operatorPolicies')].map(({ vhost, name, pattern, applyTo, definition, priority }) => ({
    component: 'operator_policy',
    vhost,
    name,
    value: { pattern, definition, priority, 'apply-to': applyTo },
  }));
}

function vhostLimits(view: MetadataView): readonly object[] {
  return [...view.rows('vhosts')].flatMap((row) => {
    const value = limits({ 'max-connections': row.maxConnections, 'max-queues': row.maxQueues });
    if (Object.keys(value).length === 0) return [];
    return [{ component: 'vhost-limits', vhost: row.name, name: 'limits', value }];
  });
}

function limits(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== -1));
}

function durableQueues(view: MetadataView): readonly object[] {
  return [...view.rows('queues')]
    .filter((row) => row.isDurable && !row.isExclusive)
    .map((row) => ({
      name: row.name,
      vhost: row.vhost,
      durable: row.isDurable,
      auto_delete: row.isAutoDelete,
      type: row.type,
      arguments: plainTable(row.arguments),
    }));
}

function durableExchanges(view: MetadataView): readonly object[] {
  return [...view.rows('exchanges')]
    .filter((row) => row.isDurable && row.name !== '' && !row.name.startsWith('amq.'))
    .map((row) => ({
      name: row.name,
      vhost: row.vhost,
      type: row.type,
      durable: row.isDurable,
      auto_delete: row.isAutoDelete,
      internal: row.isInternal,
      arguments: plainTable(row.arguments),
    }));
}

/** Those between durable ends: the others end with their queue or exchange. */
function durableBindings(view: MetadataView): readonly object[] {
  const isDurable = (kind: 'queue' | 'exchange', vhost: string, name: string): boolean => {
    const key = JSON.stringify([vhost, name]);
    if (kind === 'exchange') return view.get('exchanges', key)?.isDurable === true;
    const queue = view.get('queues', key);
    return queue?.isDurable === true && !queue.isExclusive;
  };
  return [...view.rows('bindings')]
    .filter(
      (row) =>
        row.source !== '' &&
        isDurable('exchange', row.vhost, row.source) &&
        isDurable(row.destinationKind, row.vhost, row.destination),
    )
    .map((row) => ({
      source: row.source,
      vhost: row.vhost,
      destination: row.destination,
      destination_type: row.destinationKind,
      routing_key: row.routingKey,
      arguments: plainTable(row.arguments),
    }));
}
