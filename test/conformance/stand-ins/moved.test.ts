/** The whole suite on queues that answer `moved, ask again` now and then. */
import { runSuiteOn } from './suite.ts';

runSuiteOn('moved');
