/**
 * Where a message goes: from one exchange through bindings to queues, through
 * exchange-to-exchange bindings (cycles included: every exchange is walked
 * once, behaviour 61), and to the alternate exchange of each exchange whose
 * bindings met nothing (behaviour 106).
 *
 * Each queue is found once, however many ways lead to it (behaviour 93). The
 * result lies in `matches` until the next call.
 */
import type { Message } from '../../../proto/entry/message.ts';
import type { Vhost } from '../vhost.ts';
import type { Exchange } from './exchange.ts';
import { Matches } from './matches.ts';

export class Router {
  readonly matches = new Matches();

  /**
   * @param extraRoutingKeys those of CC and BCC: routed like the first one
   * @param message null when a route is prepared from the key alone; `matches.isPerMessage` then says whether it can be
   */
  route(
    vhost: Vhost,
    exchange: Exchange,
    routingKey: string,
    extraRoutingKeys: readonly string[],
    message: Message | null,
  ): Matches {
    const matches = this.matches;
    matches.begin(exchange, message);
    for (let i = 0; i < matches.exchanges.length; i++) {
      const walked = matches.exchanges[i]!;
      matches.found = 0;
      walked.table.match(routingKey, matches);
      for (let k = 0; k < extraRoutingKeys.length; k++) walked.table.match(extraRoutingKeys[k]!, matches);
      if (matches.found === 0 && walked.alternateExchange !== null) {
        const alternate = vhost.exchanges.get(walked.alternateExchange);
        if (alternate !== undefined) matches.walkLater(alternate);
      }
    }
    matches.end();
    return matches;
  }
}
