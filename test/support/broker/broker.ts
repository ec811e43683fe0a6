/**
 * Gives a test file its broker: Warren in this process, or the original when the
 * expectations themselves are to be checked.
 *
 * - `WARREN_TEST_TARGET=host:port` uses a running broker, `host:port:rabbit` a
 *   running RabbitMQ whose folder is in `WARREN_TEST_RABBIT_DIR` (see rabbit.ts).
 * - `WARREN_ORACLE=1` starts a RabbitMQ for this file.
 * - Otherwise Warren. A test that stops its broker or changes its settings asks
 *   for one of its own (`isOwn`).
 */
import type { RawChannel } from '../raw-client/channel.ts';
import { type ConnectOptions, connect } from '../raw-client/connect.ts';
import type { BrokerAddress, RawConnection } from '../raw-client/connection.ts';
import { RawConnection as Connection } from '../raw-client/connection.ts';
import type { BrokerAdmin } from './admin.ts';
import { RabbitControl, RabbitNode } from './rabbit.ts';
import { startWarren } from './warren-node.ts';

/** What a test context offers for cleaning up. */
export interface TestScope {
  after(cleanUp: () => void): void;
}

export interface BrokerOptions {
  /** Lines of rabbitmq.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** One of its own even when tests share a running one. Implied by settings and isDurable. */
  readonly isOwn?: boolean;
  /** Keeps durable queues and persistent messages over `restart`. */
  readonly isDurable?: boolean;
}

export type BrokerKind = 'warren' | 'rabbit';

interface Running {
  readonly address: BrokerAddress;
  readonly admin: BrokerAdmin;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

export class TestBroker {
  readonly kind: BrokerKind;
  readonly address: BrokerAddress;
  readonly admin: BrokerAdmin;
  private readonly running: Running;

  constructor(kind: BrokerKind, running: Running) {
    this.kind = kind;
    this.address = running.address;
    this.admin = running.admin;
    this.running = running;
  }

  /** Warren's value, or the original's where the two differ on purpose. */
  expected<T>(values: Readonly<Record<BrokerKind, T>>): T {
    return values[this.kind];
  }

  /** A socket without a handshake, cut when the test ends. */
  async dial(scope: TestScope): Promise<RawConnection> {
    const connection = await Connection.dial(this.address);
    scope.after(() => connection.destroy());
    return connection;
  }

  /** An open connection, cut when the test ends. */
  async connect(scope: TestScope, options: ConnectOptions = {}): Promise<RawConnection> {
    const connection = await connect(this.address, options);
    scope.after(() => connection.destroy());
    return connection;
  }

  /** A channel on a connection of its own. */
  async channel(scope: TestScope, options: ConnectOptions = {}): Promise<RawChannel> {
    const connection = await this.connect(scope, options);
    return connection.openChannel();
  }

  async stop(): Promise<void> {
    await this.running.stop();
  }

  /** Stops in good order and starts again, on the same port. Needs `isDurable` to find anything again. */
  async restart(): Promise<void> {
    await this.running.restart();
  }
}

export async function startBroker(options: BrokerOptions = {}): Promise<TestBroker> {
  const { settings = {}, isDurable = false, isOwn = isDurable || Object.keys(settings).length > 0 } = options;
  const target = process.env['WARREN_TEST_TARGET'] ?? '';
  const [host = '', port = '', kind = 'warren'] = target.split(':');
  const isOracle = process.env['WARREN_ORACLE'] === '1' || kind === 'rabbit';
  if (target !== '' && !isOwn) return runningBroker({ host, port: Number(port) }, isOracle);
  if (!isOracle) return new TestBroker('warren', await startWarren({ settings, isDurable }));
  const rabbit = await RabbitNode.start(settings);
  return new TestBroker('rabbit', {
    address: rabbit.address,
    admin: rabbit.control,
    stop: () => rabbit.stop(),
    restart: () => rabbit.control.restart(),
  });
}

function runningBroker(address: BrokerAddress, isOracle: boolean): TestBroker {
  const folder = process.env['WARREN_TEST_RABBIT_DIR'] ?? '';
  const admin = isOracle ? new RabbitControl(folder) : noAdmin();
  const notOurs = async (): Promise<void> => {};
  return new TestBroker(isOracle ? 'rabbit' : 'warren', {
    address,
    admin,
    stop: notOurs,
    restart: () => Promise.reject(new Error('this broker is shared by all tests: it is not restarted')),
  });
}

function noAdmin(): BrokerAdmin {
  const refuse = () => Promise.reject(new Error('no operator for this broker: start it through the test'));
  return new Proxy<BrokerAdmin>(Object.create(null), { get: () => refuse });
}
