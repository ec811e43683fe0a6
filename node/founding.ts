/**
 * What the first start of an empty data directory creates: the default vhost,
 * and the default user with its permissions there. Later starts change
 * nothing of it, whatever the configuration says by then, as in RabbitMQ.
 */
import type { Founding } from '../cluster/drivers/metadata-driver.ts';
import { DEFAULT_HASHING_ALGORITHM, hashPassword } from './access/password-hash.ts';
import type { NodeConfig } from './config/config.ts';

export function foundingOf(config: NodeConfig, nodeName: string, random: (bytes: number) => Buffer): Founding {
  const { defaultUser, defaultPass, defaultVhost, defaultUserTags, defaultPermissions } = config;
  const hashingAlgorithm = config.passwordHashing ?? DEFAULT_HASHING_ALGORITHM;
  return {
    clusterId: random(16).toString('hex'),
    name: config.clusterName ?? nodeName,
    defaults: [
      {
        type: 'put-vhost',
        vhost: {
          name: defaultVhost,
          description: 'Default virtual host',
          tags: [],
          defaultQueueType: null,
          isTracing: false,
          maxConnections: -1,
          maxQueues: -1,
        },
      },
      {
        type: 'put-user',
        mode: 'create',
        user: {
          name: defaultUser,
          passwordHash: hashPassword(defaultPass, random(4), hashingAlgorithm),
          hashingAlgorithm,
          tags: defaultUserTags,
          maxConnections: -1,
          maxChannels: -1,
        },
      },
      { type: 'put-permission', permission: { user: defaultUser, vhost: defaultVhost, ...defaultPermissions } },
    ],
  };
}
