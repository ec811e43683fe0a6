/**
 * What a queue asks of the metadata on its own: to be deleted (queue.delete,
 * auto-delete, x-expires). By id, so that a queue declared again under the same
 * name is left alone.
 */
import { type MetadataClient, MetadataUnavailable } from '../../cluster/metadata-client.ts';
import type { QueueOwner } from './queue/context.ts';
import type { Queue } from './queue/queue.ts';

export class MetadataQueueOwner implements QueueOwner {
  private readonly metadata: MetadataClient;
  private readonly onNote: (text: string) => void;

  constructor(metadata: MetadataClient, onNote: (text: string) => void) {
    this.metadata = metadata;
    this.onNote = onNote;
  }

  requestDelete(queue: Queue, _reason: 'removed' | 'unused' | 'expired', onFailed: (text: string) => void): void {
    void this.delete(queue, onFailed);
  }

  note(queue: Queue, text: string): void {
    const { name, vhost } = queue.definition;
    this.onNote(`queue '${name}' in vhost '${vhost}': ${text}`);
  }

  private async delete(queue: Queue, onFailed: (text: string) => void): Promise<void> {
    const { vhost, name, id } = queue.definition;
    try {
      // `not-found`: somebody else has deleted it, and the queue has been told.
      const reply = await this.metadata.propose({ type: 'delete-queue', vhost, name, id });
      if (reply.type === 'refused') onFailed(reply.reason);
    } catch (error) {
      // Expected: the log takes no changes now. Anything else is a bug.
      if (!(error instanceof MetadataUnavailable)) throw error;
      onFailed(error.message);
    }
  }
}
