/**
 * A connection that was refused, closed by the server or broke: a fault outside
 * of perf, told to the person in one line.
 */
export class ConnectionFailure extends Error {
  /** @param endpoint host and port. @param text what happened, with the server's own words. */
  constructor(endpoint: string, text: string) {
    super(`${endpoint}: ${text}`);
    this.name = 'ConnectionFailure';
  }
}
