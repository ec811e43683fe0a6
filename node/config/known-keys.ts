/**
 * Keys of rabbitmq.conf that RabbitMQ 3.13 (with the plugins it ships) knows
 * and that have no effect here, each with the reason given in one warning
 * line. `*` stands for one word, a trailing `**` for any number, none too.
 *
 * Source: the schema files of RabbitMQ.
 */

export interface KnownKeys {
  readonly reason: string;
  readonly patterns: readonly string[];
}

export const knownKeys: readonly KnownKeys[] = [
  {
    reason: 'it concerns the Erlang machine, which is not used here',
    patterns: [
      'erlang.**',
      'nodename',
      'distributed_cookie',
      'hipe_compile',
      'background_gc_enabled',
      'background_gc_target_interval',
      'socket_writer.gc_threshold',
      'sysmon_handler.**',
      'runtime.**',
      'net_ticktime',
      'delegate_count',
      'default_worker_pool_size',
      'vm_memory_calculation_strategy',
      'distribution.listener.**',
      'tcp_listen_options',
      'tcp_listen_options.*',
      'tcp_listen_options.linger.*',
      'num_acceptors.*',
    ],
  },
  {
    reason: "it concerns RabbitMQ's own storage, which is not used here",
    patterns: [
      'mnesia_table_loading_retry_limit',
      'mnesia_table_loading_retry_timeout',
      'message_store_shutdown_timeout',
      'msg_store_file_size_limit',
      'queue_index_embed_msgs_below',
      'queue_index_max_journal_entries',
      'vm_memory_high_watermark_paging_ratio',
      'classic_queue.**',
      'quorum_queue.**',
      'raft.**',
      'vhost_restart_strategy',
      'cluster_keepalive_interval',
      'mirroring_sync_batch_size',
      'mirroring_sync_max_throughput',
      'lazy_queue_explicit_gc_run_operation_threshold',
      'metadata_store.**',
      'deprecated_features.**',
      'feature_flags.**',
    ],
  },
  {
    reason: 'TLS is not built yet',
    patterns: [
      'listeners.ssl',
      'listeners.ssl.*',
      'ssl_options',
      'ssl_options.**',
      'ssl_handshake_timeout',
      'ssl_cert_login_from',
      'ssl_cert_login_san_index',
      'ssl_cert_login_san_type',
      'ssl_allow_poodle_attack',
      'trust_store.**',
    ],
  },
  {
    reason: 'clustering is not built yet',
    patterns: [
      'cluster_formation.dns.**',
      'cluster_formation.k8s.**',
      'cluster_formation.etcd.**',
      'cluster_formation.consul.**',
      'cluster_formation.aws.**',
      'cluster_formation.node_cleanup.**',
      'cluster_formation.node_type',
      'cluster_formation.randomized_startup_delay_range.**',
      'cluster_formation.lock_*',
      'cluster_partition_handling',
      'cluster_partition_handling.**',
      'queue_master_locator',
      'queue_leader_locator',
      'cluster_tags.**',
      'aws.**',
    ],
  },
  {
    reason: 'this protocol is not built yet',
    patterns: ['mqtt.**', 'stomp.**', 'web_mqtt.**', 'web_stomp.**', 'amqp1_0.**', 'stream.**'],
  },
  {
    reason: 'management over HTTP and metrics are not built yet',
    patterns: [
      'management.**',
      'management_agent.**',
      'prometheus.**',
      'collect_statistics',
      'collect_statistics_interval',
      'event_exchange.**',
      'tracing.**',
      'shovel.**',
      'federation.**',
    ],
  },
  {
    reason: 'only internal users with PLAIN and AMQPLAIN are built yet',
    patterns: [
      'auth_backends.**',
      'auth_mechanisms.*',
      'auth_cache.**',
      'auth_http.**',
      'auth_ldap.**',
      'auth_oauth2.**',
      'credential_validator.**',
      'anonymous_login_user',
      'anonymous_login_pass',
    ],
  },
  {
    reason: 'not built yet',
    patterns: [
      'proxy_protocol',
      'reverse_dns_lookups',
      'connection_max',
      'channel_max_per_node',
      'session_max_per_connection',
      'vhost_max',
      'default_queue_type',
      'default_users.**',
      'default_policies.**',
      'default_limits.**',
      'message_interceptors.**',
      'consumer_max_per_channel',
      'max_consumers_per_channel',
      'motd_file',
      'product.name',
      'product.version',
      'total_memory_available_override_value',
      'memory_monitor_interval',
      'definitions.**',
      'config_entry_decoder.**',
      'log.**',
      'permit_deprecated_features.**',
    ],
  },
];

/** The reason why a key has no effect, or null when no RabbitMQ knows it. */
export function reasonForIgnoring(key: string): string | null {
  const words = key.split('.');
  for (const group of knownKeys) {
    if (group.patterns.some((pattern) => isMatch(pattern.split('.'), words))) return group.reason;
  }
  return null;
}

function isMatch(pattern: readonly string[], words: readonly string[]): boolean {
  for (const [place, part] of pattern.entries()) {
    if (part === '**') return true;
    const word = words[place];
    if (word === undefined || (part !== '*' && part !== word)) return false;
  }
  return words.length === pattern.length;
}
