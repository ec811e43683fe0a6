/** The exchange types a client may name. Nothing else names them. */
import { directType } from './direct.ts';
import type { ExchangeType } from './exchange.ts';
import { fanoutType } from './fanout.ts';
import { headersType } from './headers.ts';
import { topicType } from './topic.ts';

export const exchangeTypes: ReadonlyMap<string, ExchangeType> = new Map(
  [directType, fanoutType, topicType, headersType].map((type) => [type.name, type]),
);
