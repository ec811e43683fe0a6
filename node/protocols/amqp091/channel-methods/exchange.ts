/** Methods of class exchange: each is one request to the session. Source: behaviours 45 to 62, 98. */
import {
  type ExchangeBind,
  type ExchangeDeclare,
  type ExchangeDelete,
  type ExchangeUnbind,
  MethodId,
} from '../../../../proto/amqp091/methods.generated.ts';
import type { Channel } from '../channel.ts';

export function declareExchange(channel: Channel, method: ExchangeDeclare): void {
  const declared = channel.host.session.declareExchange({
    name: method.exchange,
    type: method.type,
    isPassive: method.passive,
    isDurable: method.durable,
    isAutoDelete: method.autoDelete,
    isInternal: method.internal,
    arguments: method.arguments,
  });
  channel.waitFor(declared, MethodId.exchangeDeclare, () => {
    if (!method.noWait) channel.send({ name: 'exchange.declare-ok' });
  });
}

export function deleteExchange(channel: Channel, method: ExchangeDelete): void {
  const deleted = channel.host.session.deleteExchange(method.exchange, method.ifUnused);
  channel.waitFor(deleted, MethodId.exchangeDelete, () => {
    if (!method.noWait) channel.send({ name: 'exchange.delete-ok' });
  });
}

export function bindExchange(channel: Channel, method: ExchangeBind): void {
  channel.waitFor(channel.host.session.bind(bindingOf(method)), MethodId.exchangeBind, () => {
    if (!method.noWait) channel.send({ name: 'exchange.bind-ok' });
  });
}

export function unbindExchange(channel: Channel, method: ExchangeUnbind): void {
  channel.waitFor(channel.host.session.unbind(bindingOf(method)), MethodId.exchangeUnbind, () => {
    if (!method.noWait) channel.send({ name: 'exchange.unbind-ok' });
  });
}

function bindingOf(method: ExchangeBind | ExchangeUnbind) {
  const { source, destination, routingKey } = method;
  return { source, destinationKind: 'exchange', destination, routingKey, arguments: method.arguments } as const;
}
