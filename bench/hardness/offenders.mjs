// All offenders by name, in the order in which they are run.
import { connecting } from './connecting.mjs';
import { consuming } from './consuming.mjs';
import { declaring } from './declaring.mjs';
import { publishing } from './publishing.mjs';
import { reading } from './reading.mjs';
import { shapes } from './shapes.mjs';

/** Name to {what, settings (of rabbitmq.conf, for a broker that is started for it), run(world), raisesAlarm}. */
export const offenders = { ...connecting, ...reading, ...publishing, ...consuming, ...declaring, ...shapes };
