/** The whole suite on queues that answer late. */
import { runSuiteOn } from './suite.ts';

runSuiteOn('late');
