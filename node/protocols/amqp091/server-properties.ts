/**
 * What connection.start says about us. Clients branch on product and version
 * (behaviour 2), so these are RabbitMQ's; our own name stands beside them.
 *
 * Source: behaviours 2, 3, 6.
 */
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import type { ProductInfo } from '../front-end-context.ts';

/** The RabbitMQ whose behaviour is offered, here and wherever a version is asked for. */
export const RABBITMQ_VERSION = '3.13.7';

const capabilities: readonly string[] = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
];

export function serverProperties(product: ProductInfo, hasCapabilities: boolean): FieldTable {
  const able = hasCapabilities ? capabilities.map((name) => [name, { t: 't', v: true }] as const) : [];
  return [
    ['capabilities', { t: 'F', v: able }],
    ['cluster_name', text(product.clusterName())],
    ['copyright', text('Copyright (c) the Warren contributors')],
    ['information', text('Licensed under the Apache License 2.0')],
    ['platform', text(product.platform)],
    ['product', text('RabbitMQ')],
    ['version', text(RABBITMQ_VERSION)],
    ['broker_name', text(product.name)],
    ['broker_version', text(product.version)],
  ];
}

function text(value: string): FieldValue {
  return { t: 'S', v: value };
}
