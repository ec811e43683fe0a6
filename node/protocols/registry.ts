/**
 * The protocols that a listener's clients may speak, chosen by their first
 * eight bytes. This table is the only place that names them.
 */
import { amqp091 } from './amqp091/protocol.ts';
import type { Protocol } from './protocol.ts';

export const protocols: readonly Protocol[] = [amqp091];
