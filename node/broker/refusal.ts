/**
 * Why the broker declined what a client asked for, in no protocol's words.
 *
 * Front-ends translate: `access-refused` is 403 in AMQP 0-9-1,
 * `amqp:unauthorized-access` in AMQP 1.0 and reason code 0x87 in MQTT 5. The
 * reason is RabbitMQ's text without its prefix ("PRECONDITION_FAILED - ").
 */
export type RefusalKind =
  | 'not-found'
  | 'access-refused'
  | 'precondition-failed'
  | 'resource-locked'
  | 'not-allowed'
  | 'not-implemented'
  | 'command-invalid'
  | 'limit-reached'
  | 'unavailable'
  | 'internal-error';

/** An expected answer, not a fault: never logged above debug, never on the publish path. */
export class Refusal extends Error {
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, reason: string) {
    super(reason);
    this.name = 'Refusal';
    this.kind = kind;
  }
}
