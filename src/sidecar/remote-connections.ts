// The connections that calls to one endpoint are made over, as the cluster wants them: its address, its TLS context
// or PROXY header, its connect timeout. HTTP/1.1 goes through a pool of undici over sockets that we make, which
// opens as many as there are calls at a time up to a bound; gRPC through one HTTP/2 connection that is kept, and
// made again when it is gone. Both libraries are loaded when they are first needed.
import type { Socket } from 'node:net';
import type { Pool } from 'undici';
import { ByteBudget } from '../base/byte-chunks.ts';
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import { dialSocket } from './dial-socket.ts';
import type { SecureTarget } from './dial-secure.ts';
import { GrpcConnection } from './grpc-client.ts';
import type { Dial } from './wire-dial.ts';

/** Nothing is asked of this name: connections are made by us. */
const ORIGIN = 'http://remote';
const CONNECTIONS_MAX = 128;
/** Of one answer over gRPC; over HTTP whoever calls says it. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Of all answers that come from the endpoint at a time. */
const ANSWERS_BYTES_MAX = 32 * 1024 * 1024;
const KEEP_ALIVE_MS_MAX = 600_000;

let undici: Promise<typeof import('undici')> | null = null;

export interface RemoteTarget {
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
  /** Null: plaintext. */
  readonly secure: SecureTarget | null;
}

export class RemoteConnections {
  readonly target: RemoteTarget;
  readonly budget = new ByteBudget(ANSWERS_BYTES_MAX);
  #pool: Promise<Pool> | null = null;
  #grpc: Promise<GrpcConnection> | null = null;
  readonly #dials = new Set<Dial>();
  #isClosed = false;

  constructor(target: RemoteTarget) {
    this.target = target;
  }

  http(): Promise<Pool> {
    this.#pool ??= this.#makePool();
    return this.#pool;
  }

  /** Rejects when no connection could be made. */
  grpc(): Promise<GrpcConnection> {
    this.#grpc ??= this.#makeGrpc();
    return this.#grpc;
  }

  /** Calls under way fail. */
  close(): void {
    this.#isClosed = true;
    for (const dial of this.#dials) dial.cancel();
    this.#dials.clear();
    this.#pool?.then((pool) => pool.destroy()).catch(ignore);
    this.#grpc?.then((connection) => connection.close()).catch(ignore);
    this.#pool = null;
    this.#grpc = null;
  }

  async #makePool(): Promise<Pool> {
    undici ??= import('undici');
    const { Pool: MakePool } = await undici;
    const { idleTimeoutMs } = this.target.cluster;
    const keepAliveMs = idleTimeoutMs === 0 ? KEEP_ALIVE_MS_MAX : Math.min(idleTimeoutMs, KEEP_ALIVE_MS_MAX);
    return new MakePool(ORIGIN, {
      connections: CONNECTIONS_MAX,
      // The call has one time for everything.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      keepAliveTimeoutThreshold: 500,
      connect: (_options, callback) => {
        this.#dial([], (socket, cause) => {
          if (socket === null) callback(new Error(cause), null);
          else callback(null, socket);
        });
      },
    });
  }

  #makeGrpc(): Promise<GrpcConnection> {
    const { endpoint, secure } = this.target;
    return new Promise((resolve, reject) => {
      const own = secure?.tls?.init.settings.protocols ?? [];
      this.#dial(own.length > 0 ? [] : ['h2'], (socket, cause) => {
        if (socket === null) {
          this.#grpc = null;
          reject(new Error(cause));
          return;
        }
        // A socket that was made of a wire does not read yet, and http2 takes for granted that it does.
        socket.read(0);
        const isPath = endpoint.port === 0;
        const forget = (): void => {
          if (this.#grpc === made) this.#grpc = null;
        };
        const connection = new GrpcConnection({
          host: isPath ? 'localhost' : endpoint.address,
          port: isPath ? 80 : endpoint.port,
          tls: secure?.tls == null ? null : {},
          socket,
          connectMsMax: this.target.cluster.connectTimeoutMs,
          messageBytesMax: MESSAGE_BYTES_MAX,
          budget: this.budget,
          onGoaway: forget,
          onClosed: forget,
        });
        const made = this.#grpc;
        resolve(connection);
      });
    });
  }

  /** Calls back once, later: with a socket, or with why there is none. Nothing is called back after close(). */
  #dial(protocols: readonly string[], done: (socket: Socket | null, cause: string) => void): void {
    const { cluster, endpoint, secure } = this.target;
    if (this.#isClosed) return done(null, 'closed');
    const finish = (socket: Socket | null, cause: string): void => {
      clearTimeout(timer);
      this.#dials.delete(dial);
      if (socket === null) endpoint.connectFailuresTotal++;
      else this.#count(socket);
      done(socket, cause);
    };
    const timer = setTimeout(() => {
      dial.cancel();
      finish(null, 'connect timeout');
    }, cluster.connectTimeoutMs);
    endpoint.connectionsTotal++;
    const target = secure === null ? null : { ...secure, ...(protocols.length === 0 ? {} : { protocols }) };
    const dial = dialSocket(endpoint, target, {
      onSocket: (socket) => finish(socket, ''),
      onDialFailed: (cause) => finish(null, cause),
    });
    this.#dials.add(dial);
  }

  #count(socket: Socket): void {
    const { endpoint } = this.target;
    endpoint.connectionsActive++;
    // What waits for an answer keeps the process up, not what is kept for later.
    socket.once('close', () => endpoint.connectionsActive--);
  }
}

function ignore(): void {}
