/**
 * The nameless exchange of a vhost: routes to the queue whose name is the
 * routing key (behaviour 97), and to reply consumers by their address
 * (behaviour 126). It holds no binding; nothing can be bound to or from it.
 */
import { invariant } from '../../../proto/base/invariant.ts';
import type { ReplyDirectory } from '../reply-to.ts';
import { isReplyName } from '../reply-to.ts';
import type { QueueDestination } from '../vhost.ts';
import type { BindingTable } from './exchange.ts';
import type { Matches } from './matches.ts';

export class DefaultTable implements BindingTable {
  private readonly queuesByName: ReadonlyMap<string, QueueDestination>;
  private readonly replies: ReplyDirectory;

  constructor(queuesByName: ReadonlyMap<string, QueueDestination>, replies: ReplyDirectory) {
    this.queuesByName = queuesByName;
    this.replies = replies;
  }

  add(): void {
    invariant(false, 'nothing is bound to the nameless exchange');
  }

  remove(): void {
    invariant(false, 'nothing is bound to the nameless exchange');
  }

  match(routingKey: string, matches: Matches): void {
    const queue = this.queuesByName.get(routingKey);
    if (queue !== undefined) {
      matches.found++;
      matches.takeQueue(queue);
    } else if (isReplyName(routingKey)) {
      // Reply consumers come and go without a change of the metadata: no route may be kept.
      matches.isPerMessage = true;
      const reply = this.replies.find(routingKey);
      if (reply !== null) {
        matches.found++;
        matches.takeReply(reply);
      }
    }
  }
}
