/**
 * The one place that names commander. The build bundles it into this file, so
 * that the published package does not depend on it.
 */
export { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
