/**
 * The methods of AMQP 0-9-1 as the judge knows them: class and method id, and
 * the arguments in wire order.
 *
 * Written from the specification's text a second time, on purpose: nothing here
 * comes from the broker's own codec, so a slip there is not repeated here.
 *
 * Source: AMQP 0-9-1 specification, with RabbitMQ's extensions (confirm.select,
 * basic.nack, exchange.bind, connection.blocked, connection.update-secret).
 */
export type ArgumentType = 'octet' | 'short' | 'long' | 'longlong' | 'shortstr' | 'longstr' | 'bit' | 'table';

export interface MethodArgument {
  readonly name: string;
  readonly type: ArgumentType;
}

export interface MethodShape {
  readonly name: string;
  readonly classId: number;
  readonly methodId: number;
  readonly arguments: readonly MethodArgument[];
}

/** One line per method: ids, name, then arguments as name:type in wire order. */
const SHAPES = `
10.10 connection.start versionMajor:octet versionMinor:octet serverProperties:table mechanisms:longstr locales:longstr
10.11 connection.start-ok clientProperties:table mechanism:shortstr response:longstr locale:shortstr
10.20 connection.secure challenge:longstr
10.21 connection.secure-ok response:longstr
10.30 connection.tune channelMax:short frameMax:long heartbeat:short
10.31 connection.tune-ok channelMax:short frameMax:long heartbeat:short
10.40 connection.open virtualHost:shortstr reserved1:shortstr reserved2:bit
10.41 connection.open-ok knownHosts:shortstr
10.50 connection.close replyCode:short replyText:shortstr classId:short methodId:short
10.51 connection.close-ok
10.60 connection.blocked reason:shortstr
10.61 connection.unblocked
10.70 connection.update-secret newSecret:longstr reason:shortstr
10.71 connection.update-secret-ok
20.10 channel.open reserved1:shortstr
20.11 channel.open-ok reserved1:longstr
20.20 channel.flow active:bit
20.21 channel.flow-ok active:bit
20.40 channel.close replyCode:short replyText:shortstr classId:short methodId:short
20.41 channel.close-ok
40.10 exchange.declare ticket:short exchange:shortstr type:shortstr passive:bit durable:bit autoDelete:bit internal:bit nowait:bit arguments:table
40.11 exchange.declare-ok
40.20 exchange.delete ticket:short exchange:shortstr ifUnused:bit nowait:bit
40.21 exchange.delete-ok
40.30 exchange.bind ticket:short destination:shortstr source:shortstr routingKey:shortstr nowait:bit arguments:table
40.31 exchange.bind-ok
40.40 exchange.unbind ticket:short destination:shortstr source:shortstr routingKey:shortstr nowait:bit arguments:table
40.51 exchange.unbind-ok
50.10 queue.declare ticket:short queue:shortstr passive:bit durable:bit exclusive:bit autoDelete:bit nowait:bit arguments:table
50.11 queue.declare-ok queue:shortstr messageCount:long consumerCount:long
50.20 queue.bind ticket:short queue:shortstr exchange:shortstr routingKey:shortstr nowait:bit arguments:table
50.21 queue.bind-ok
50.30 queue.purge ticket:short queue:shortstr nowait:bit
50.31 queue.purge-ok messageCount:long
50.40 queue.delete ticket:short queue:shortstr ifUnused:bit ifEmpty:bit nowait:bit
50.41 queue.delete-ok messageCount:long
50.50 queue.unbind ticket:short queue:shortstr exchange:shortstr routingKey:shortstr arguments:table
50.51 queue.unbind-ok
60.10 basic.qos prefetchSize:long prefetchCount:short global:bit
60.11 basic.qos-ok
60.20 basic.consume ticket:short queue:shortstr consumerTag:shortstr noLocal:bit noAck:bit exclusive:bit nowait:bit arguments:table
60.21 basic.consume-ok consumerTag:shortstr
60.30 basic.cancel consumerTag:shortstr nowait:bit
60.31 basic.cancel-ok consumerTag:shortstr
60.40 basic.publish ticket:short exchange:shortstr routingKey:shortstr mandatory:bit immediate:bit
60.50 basic.return replyCode:short replyText:shortstr exchange:shortstr routingKey:shortstr
60.60 basic.deliver consumerTag:shortstr deliveryTag:longlong redelivered:bit exchange:shortstr routingKey:shortstr
60.70 basic.get ticket:short queue:shortstr noAck:bit
60.71 basic.get-ok deliveryTag:longlong redelivered:bit exchange:shortstr routingKey:shortstr messageCount:long
60.72 basic.get-empty clusterId:shortstr
60.80 basic.ack deliveryTag:longlong multiple:bit
60.90 basic.reject deliveryTag:longlong requeue:bit
60.100 basic.recover-async requeue:bit
60.110 basic.recover requeue:bit
60.111 basic.recover-ok
60.120 basic.nack deliveryTag:longlong multiple:bit requeue:bit
85.10 confirm.select nowait:bit
85.11 confirm.select-ok
90.10 tx.select
90.11 tx.select-ok
90.20 tx.commit
90.21 tx.commit-ok
90.30 tx.rollback
90.31 tx.rollback-ok
`;

const ARGUMENT_TYPES: readonly string[] = [
  'octet',
  'short',
  'long',
  'longlong',
  'shortstr',
  'longstr',
  'bit',
  'table',
] satisfies readonly ArgumentType[];

const shapes = SHAPES.trim().split('\n').map(parseShape);
const byName = new Map(shapes.map((shape) => [shape.name, shape]));
const byId = new Map(shapes.map((shape) => [`${shape.classId}.${shape.methodId}`, shape]));

/** Methods followed by a content header and body. */
const WITH_CONTENT = new Set(['basic.publish', 'basic.return', 'basic.deliver', 'basic.get-ok']);

export function shapeOf(name: string): MethodShape {
  const shape = byName.get(name);
  if (shape === undefined) throw new Error(`no method is called ${name}`);
  return shape;
}

export function shapeById(classId: number, methodId: number): MethodShape {
  const shape = byId.get(`${classId}.${methodId}`);
  if (shape === undefined)
    throw new Error(`the broker sent method ${classId}.${methodId}, which the specification lacks`);
  return shape;
}

export function carriesContent(name: string): boolean {
  return WITH_CONTENT.has(name);
}

function parseShape(line: string): MethodShape {
  const [ids = '', name = '', ...words] = line.split(' ');
  const [classId, methodId] = ids.split('.').map(Number);
  if (classId === undefined || methodId === undefined) throw new Error(`line without class and method id: ${line}`);
  return { name, classId, methodId, arguments: words.map(parseArgument) };
}

function parseArgument(word: string): MethodArgument {
  const [name = '', type = ''] = word.split(':');
  if (!isArgumentType(type)) throw new Error(`argument ${word} has no known type`);
  return { name, type };
}

function isArgumentType(type: string): type is ArgumentType {
  return ARGUMENT_TYPES.includes(type);
}
