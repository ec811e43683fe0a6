/**
 * The one place that names pino. The build bundles it into this file, so that
 * the published package does not depend on it.
 */
export { pino } from 'pino';
