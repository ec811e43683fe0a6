/**
 * What both ends of a link tell grpc-js, and why.
 *
 * Source: measured figures in docs/cluster-links.md.
 */
import { STREAM_MESSAGE_BYTES_MAX } from './outbox.ts';

export const commonOptions = {
  // A larger frame comes in parts: who has not proved anything can make us hold no more than this.
  'grpc.max_receive_message_length': STREAM_MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': -1,
  // Only clears away what the links have given up: they notice silence themselves, and earlier, but not their own
  // pauses, as this does (a timer fires before the answer that has long arrived is read).
  'grpc.keepalive_time_ms': 5000,
  'grpc.keepalive_timeout_ms': 5000,
  'grpc.keepalive_permit_without_calls': 1,
  // Room for what is under way at 1 GB/s with a round trip of 1 ms.
  'grpc-node.flow_control_window': 1024 * 1024,
} as const;

export const listenerOptions = {
  ...commonOptions,
  // A connection carries one stream.
  'grpc.max_concurrent_streams': 1,
  // MiB, of nghttp2 for one connection.
  'grpc-node.max_session_memory': 4,
  'grpc.max_connection_idle_ms': 60_000,
} as const;

export const dialerOptions = {
  ...commonOptions,
  // Two streams, two connections: else they would share one, and control would wait for bulk.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
} as const;
