/**
 * A program: writes proto/amqp091/methods.generated.ts from the method table.
 * Run it in the project's root after a build, then build again:
 *
 *   node dist/proto/amqp091/generate.js
 */
import { writeFileSync } from 'node:fs';
import { generateMethodSource } from './method-source.ts';
import { METHOD_TABLE } from './method-table.ts';

writeFileSync('proto/amqp091/methods.generated.ts', generateMethodSource(METHOD_TABLE));
