/**
 * Virtual hosts, as operators add and delete them. Adding one that is there is
 * no error, as in rabbitmqctl.
 */
import type { MetadataClient } from '../../cluster/metadata-client.ts';
import { propose } from './metadata-proposer.ts';
import { AdminRefusal, type NewVhost, type VhostOperations } from './operations.ts';

export class MetadataVhostOperations implements VhostOperations {
  private readonly metadata: MetadataClient;

  constructor(metadata: MetadataClient) {
    this.metadata = metadata;
  }

  async add(vhost: NewVhost): Promise<void> {
    if (vhost.name === '') throw new AdminRefusal('invalid', 'virtual host name cannot be empty');
    if (vhost.defaultQueueType !== null && !['classic', 'quorum'].includes(vhost.defaultQueueType)) {
      throw new AdminRefusal(
        'invalid',
        `Unsupported default queue type: ${vhost.defaultQueueType}, expected classic or quorum`,
      );
    }
    if (this.metadata.view.get('vhosts', vhost.name) !== null) return;
    await propose(this.metadata, {
      type: 'put-vhost',
      vhost: { ...vhost, isTracing: false, maxConnections: -1, maxQueues: -1 },
    });
  }

  async setTracing(name: string, isTracing: boolean): Promise<void> {
    const vhost = this.metadata.view.get('vhosts', name);
    if (vhost === null) throw new AdminRefusal('no-vhost', `Virtual host '${name}' does not exist`);
    await propose(this.metadata, { type: 'put-vhost', vhost: { ...vhost, isTracing } });
  }

  async delete(name: string): Promise<void> {
    const reply = await propose(this.metadata, { type: 'delete-vhost', name });
    if (reply.type === 'not-found') throw new AdminRefusal('no-vhost', `Virtual host '${name}' does not exist`);
  }
}
