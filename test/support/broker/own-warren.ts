/**
 * `warren` as it was built together with the tests. Usage: own-warren.js
 * WARREN-ARGUMENTS...
 */
import { main } from '../../../node/main.ts';

await main(process.argv.slice(2));
