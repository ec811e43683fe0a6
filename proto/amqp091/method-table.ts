/**
 * The methods of AMQP 0-9-1 with RabbitMQ's extensions, as a table: what
 * `generate.ts` makes `methods.generated.ts` from, and nothing else reads.
 *
 * Source: AMQP 0-9-1 specification, section 1 (classes and methods) of the
 * reference, and RabbitMQ's published list of extensions (basic.nack,
 * exchange.bind, connection.blocked, connection.update-secret, confirm.select;
 * behaviour 62 for the number of exchange.unbind-ok).
 */

/**
 * Domains of fields on the wire. `text` is a long string that is always text
 * (mechanisms, locales); `longstr` is kept as bytes. Neighbouring bits share an
 * octet, lowest bit first.
 */
export type FieldKind = 'bit' | 'octet' | 'short' | 'long' | 'longlong' | 'shortstr' | 'longstr' | 'text' | 'table';

export interface FieldRow {
  /** The spec's word, with hyphens; null for a reserved field: ignored when read, zero or empty when written. */
  readonly word: string | null;
  readonly kind: FieldKind;
}

export interface MethodRow {
  /** `class.method` in the spec's words. */
  readonly name: string;
  readonly classId: number;
  readonly methodId: number;
  readonly fields: readonly FieldRow[];
}

interface ClassRow {
  readonly name: string;
  readonly id: number;
  /** Method word, id, then fields as `word:kind` (`-:kind` when reserved), separated by blanks. */
  readonly methods: readonly (readonly [word: string, id: number, fields: string])[];
}

const classes: readonly ClassRow[] = [
  {
    name: 'connection',
    id: 10,
    methods: [
      ['start', 10, 'version-major:octet version-minor:octet server-properties:table mechanisms:text locales:text'],
      ['start-ok', 11, 'client-properties:table mechanism:shortstr response:longstr locale:shortstr'],
      ['secure', 20, 'challenge:longstr'],
      ['secure-ok', 21, 'response:longstr'],
      ['tune', 30, 'channel-max:short frame-max:long heartbeat:short'],
      ['tune-ok', 31, 'channel-max:short frame-max:long heartbeat:short'],
      ['open', 40, 'virtual-host:shortstr -:shortstr -:bit'],
      ['open-ok', 41, '-:shortstr'],
      ['close', 50, 'reply-code:short reply-text:shortstr class-id:short method-id:short'],
      ['close-ok', 51, ''],
      ['blocked', 60, 'reason:shortstr'],
      ['unblocked', 61, ''],
      ['update-secret', 70, 'new-secret:longstr reason:shortstr'],
      ['update-secret-ok', 71, ''],
    ],
  },
  {
    name: 'channel',
    id: 20,
    methods: [
      ['open', 10, '-:shortstr'],
      ['open-ok', 11, '-:longstr'],
      ['flow', 20, 'active:bit'],
      ['flow-ok', 21, 'active:bit'],
      ['close', 40, 'reply-code:short reply-text:shortstr class-id:short method-id:short'],
      ['close-ok', 41, ''],
    ],
  },
  {
    name: 'access', // of 0-8, still sent by old clients: every request is answered with ticket 1
    id: 30,
    methods: [
      ['request', 10, 'realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit'],
      ['request-ok', 11, 'ticket:short'],
    ],
  },
  {
    name: 'exchange',
    id: 40,
    methods: [
      [
        'declare',
        10,
        '-:short exchange:shortstr type:shortstr passive:bit durable:bit auto-delete:bit internal:bit no-wait:bit arguments:table',
      ],
      ['declare-ok', 11, ''],
      ['delete', 20, '-:short exchange:shortstr if-unused:bit no-wait:bit'],
      ['delete-ok', 21, ''],
      ['bind', 30, '-:short destination:shortstr source:shortstr routing-key:shortstr no-wait:bit arguments:table'],
      ['bind-ok', 31, ''],
      ['unbind', 40, '-:short destination:shortstr source:shortstr routing-key:shortstr no-wait:bit arguments:table'],
      ['unbind-ok', 51, ''],
    ],
  },
  {
    name: 'queue',
    id: 50,
    methods: [
      [
        'declare',
        10,
        '-:short queue:shortstr passive:bit durable:bit exclusive:bit auto-delete:bit no-wait:bit arguments:table',
      ],
      ['declare-ok', 11, 'queue:shortstr message-count:long consumer-count:long'],
      ['bind', 20, '-:short queue:shortstr exchange:shortstr routing-key:shortstr no-wait:bit arguments:table'],
      ['bind-ok', 21, ''],
      ['purge', 30, '-:short queue:shortstr no-wait:bit'],
      ['purge-ok', 31, 'message-count:long'],
      ['delete', 40, '-:short queue:shortstr if-unused:bit if-empty:bit no-wait:bit'],
      ['delete-ok', 41, 'message-count:long'],
      ['unbind', 50, '-:short queue:shortstr exchange:shortstr routing-key:shortstr arguments:table'],
      ['unbind-ok', 51, ''],
    ],
  },
  {
    name: 'basic',
    id: 60,
    methods: [
      ['qos', 10, 'prefetch-size:long prefetch-count:short global:bit'],
      ['qos-ok', 11, ''],
      [
        'consume',
        20,
        '-:short queue:shortstr consumer-tag:shortstr no-local:bit no-ack:bit exclusive:bit no-wait:bit arguments:table',
      ],
      ['consume-ok', 21, 'consumer-tag:shortstr'],
      ['cancel', 30, 'consumer-tag:shortstr no-wait:bit'],
      ['cancel-ok', 31, 'consumer-tag:shortstr'],
      ['publish', 40, '-:short exchange:shortstr routing-key:shortstr mandatory:bit immediate:bit'],
      ['return', 50, 'reply-code:short reply-text:shortstr exchange:shortstr routing-key:shortstr'],
      [
        'deliver',
        60,
        'consumer-tag:shortstr delivery-tag:longlong redelivered:bit exchange:shortstr routing-key:shortstr',
      ],
      ['get', 70, '-:short queue:shortstr no-ack:bit'],
      ['get-ok', 71, 'delivery-tag:longlong redelivered:bit exchange:shortstr routing-key:shortstr message-count:long'],
      ['get-empty', 72, '-:shortstr'],
      ['ack', 80, 'delivery-tag:longlong multiple:bit'],
      ['reject', 90, 'delivery-tag:longlong requeue:bit'],
      ['recover-async', 100, 'requeue:bit'],
      ['recover', 110, 'requeue:bit'],
      ['recover-ok', 111, ''],
      ['nack', 120, 'delivery-tag:longlong multiple:bit requeue:bit'],
    ],
  },
  {
    name: 'confirm',
    id: 85,
    methods: [
      ['select', 10, 'no-wait:bit'],
      ['select-ok', 11, ''],
    ],
  },
  {
    name: 'tx',
    id: 90,
    methods: [
      ['select', 10, ''],
      ['select-ok', 11, ''],
      ['commit', 20, ''],
      ['commit-ok', 21, ''],
      ['rollback', 30, ''],
      ['rollback-ok', 31, ''],
    ],
  },
];

const kinds: ReadonlyMap<string, FieldKind> = new Map(
  (['bit', 'octet', 'short', 'long', 'longlong', 'shortstr', 'longstr', 'text', 'table'] as const).map((kind) => [
    kind,
    kind,
  ]),
);

function parseField(spelled: string): FieldRow {
  const [word = '', kindName = ''] = spelled.split(':');
  const kind = kinds.get(kindName);
  if (kind === undefined) throw new Error(`method table: '${spelled}' has no known kind`);
  return { word: word === '-' ? null : word, kind };
}

/** Every method, in order of class and method id. */
export const METHOD_TABLE: readonly MethodRow[] = classes.flatMap((row) =>
  row.methods.map(([word, id, fields]) => ({
    name: `${row.name}.${word}`,
    classId: row.id,
    methodId: id,
    fields: fields === '' ? [] : fields.split(' ').map(parseField),
  })),
);
