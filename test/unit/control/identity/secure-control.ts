// A control service with an authority of its own, on real sockets, and callers over TLS with whatever they choose to
// show. Everything that it logs is kept, for the tests that look for secrets in it.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, Metadata, credentials, status, type ServiceError } from '@grpc/grpc-js';
import { createLog } from '../../../../src/base/log.ts';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { JoinTokens } from '../../../../src/control/ca/join-token.ts';
import { ControlService } from '../../../../src/control/control.ts';
import type { ControlAddresses } from '../../../../src/control/control-options.ts';
import type { KubeAccess } from '../../../../src/kube/access.ts';
import { signingRequest } from '../../../../src/tls/csr.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
} from '../../../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from '../../../../src/xds/gen/istio/v1/auth/ca_pb.js';
import { LISTENER_TYPE } from '../../../../src/xds/type-url.ts';

/** What a caller shows; nothing by default. */
export interface Shown {
  readonly token?: string;
  readonly certificate?: { readonly chainPem: string; readonly keyPem: string };
}

export interface Answer {
  /** `OK`, or the name of a gRPC status. */
  readonly status: string;
  readonly details: string;
}

export interface Signed extends Answer {
  readonly chain: readonly string[];
}

const CREATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const DELTA = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const HOUR_MS = 3_600_000;

export class SecureControl {
  readonly folder: string;
  readonly service: ControlService;
  readonly lines: readonly string[];
  addresses: ControlAddresses = { xds: '', http: '', secure: '' };

  /** `authority`: files by name, in the place of a root of its own. */
  static async start(
    rules = '',
    kubernetes: KubeAccess | null = null,
    authority: Readonly<Record<string, string>> = {},
  ): Promise<SecureControl> {
    const folder = await mkdtemp(join(tmpdir(), 'outrigger-secure-'));
    await writeFile(join(folder, 'rules.yaml'), rules);
    await mkdir(join(folder, '.ca'), { mode: 0o700 });
    for (const [name, text] of Object.entries(authority))
      await writeFile(join(folder, '.ca', name), text, { mode: 0o600 });
    const lines: string[] = [];
    const service = new ControlService({
      rules: folder,
      log: createLog('control', 'trace', (line) => lines.push(line)),
      xdsAddress: '127.0.0.1:0',
      httpAddress: '127.0.0.1:0',
      settleMs: 0,
      secure: { authority: join(folder, '.ca'), address: '127.0.0.1:0', kubernetes },
    });
    const control = new SecureControl(folder, service, lines);
    control.addresses = await service.start();
    return control;
  }

  private constructor(folder: string, service: ControlService, lines: readonly string[]) {
    this.folder = folder;
    this.service = service;
    this.lines = lines;
  }

  async stop(): Promise<void> {
    await this.service.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  get store(): DirectoryStore {
    return new DirectoryStore(join(this.folder, '.ca'));
  }

  /** What the authority signs with. */
  async authority(): Promise<{ readonly chainPem: string; readonly keyPem: string }> {
    const [chainPem = '', keyPem = ''] = await Promise.all(
      ['ca-cert.pem', 'ca-key.pem'].map(async (name) => await readFile(join(this.folder, '.ca', name), 'utf8')),
    );
    return { chainPem, keyPem };
  }

  async token(account: string, ttlMs = HOUR_MS, nowMs = Date.now()): Promise<string> {
    const [namespace = '', serviceAccount = ''] = account.split('/');
    const tokens = await JoinTokens.open(this.store);
    try {
      return await tokens.create({ namespace, serviceAccount, ttlMs, roots: [] }, nowMs);
    } finally {
      tokens.close();
    }
  }

  /** A certificate by way of CreateCertificate. */
  async certificate(shown: Shown): Promise<{ readonly chainPem: string; readonly keyPem: string }> {
    const key = newKey();
    const { chain, details } = await this.sign(shown, signingRequest(key, 'urn:whoever'));
    if (chain.length === 0) throw new Error(details);
    return { chainPem: chain.slice(0, -1).join(''), keyPem: pemOf(key) };
  }

  async sign(shown: Shown, csr: string, seconds = 0, metadata?: JsonObject): Promise<Signed> {
    const client = await this.#client(shown);
    const request = create(IstioCertificateRequestSchema, {
      csr,
      validityDuration: BigInt(seconds),
      ...(metadata === undefined ? {} : { metadata }),
    });
    return await new Promise((resolve) => {
      client.makeUnaryRequest(
        CREATE,
        () => Buffer.from(toBinary(IstioCertificateRequestSchema, request)),
        (bytes) => fromBinary(IstioCertificateResponseSchema, bytes).certChain,
        request,
        metadataOf(shown),
        (cause: ServiceError | null, chain: string[] = []) => {
          client.close();
          resolve({ ...answerOf(cause), chain });
        },
      );
    });
  }

  /** Opens a stream for `node`, subscribes, and waits for the first response or the end. */
  async join(shown: Shown, node: NodeClaim, subscription: Subscription = ALL_LISTENERS): Promise<Joined> {
    return await opened(await this.#client(shown), metadataOf(shown), node, subscription);
  }

  async joinInPlaintext(node: NodeClaim, subscription: Subscription = ALL_LISTENERS): Promise<Joined> {
    const client = new Client(this.addresses.xds, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    return await opened(client, new Metadata(), node, subscription);
  }

  async page(path: string): Promise<string> {
    return await (await fetch(`http://${this.addresses.http}${path}`)).text();
  }

  async refused(refuser: 'xds' | 'ca'): Promise<Readonly<Record<string, number>>> {
    const found: Record<string, number> = {};
    const series = new RegExp(`^outrigger_${refuser}_refused_total\\{reason="(\\w+)"\\} ([1-9]\\d*)$`, 'gm');
    for (const [, reason = '', count] of (await this.page('/metrics')).matchAll(series)) found[reason] = Number(count);
    return found;
  }

  async #client({ certificate }: Shown): Promise<Client> {
    const root = await readFile(join(this.folder, '.ca', 'root-cert.pem'));
    const own = certificate === undefined ? null : [certificate.keyPem, certificate.chainPem];
    const [key = null, chain = null] = own?.map((pem) => Buffer.from(pem)) ?? [];
    return new Client(this.addresses.secure, credentials.createSsl(root, key, chain), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.ssl_target_name_override': 'istiod.istio-system.svc',
    });
  }
}

export interface NodeClaim {
  readonly id?: string;
  readonly metadata?: JsonObject;
}

export interface Subscription {
  readonly type: string;
  readonly names: readonly string[];
}

export interface Joined {
  /** Null: the stream ended before there was one. */
  readonly response: DeltaDiscoveryResponse | null;
  /** The next response; every one is acknowledged. */
  readonly next: () => Promise<DeltaDiscoveryResponse>;
  readonly ended: Promise<Answer>;
  readonly close: () => void;
}

const ALL_LISTENERS: Subscription = { type: LISTENER_TYPE, names: ['*'] };

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

function metadataOf({ token }: Shown): Metadata {
  const metadata = new Metadata();
  metadata.set('ClusterID', 'Kubernetes');
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

function answerOf(cause: ServiceError | null): Answer {
  return cause === null ? { status: 'OK', details: '' } : { status: status[cause.code], details: cause.details };
}

async function opened(
  client: Client,
  metadata: Metadata,
  node: NodeClaim,
  { type, names }: Subscription,
): Promise<Joined> {
  const call = client.makeBidiStreamRequest(DELTA, asBytes, readResponse, metadata);
  const ended = new Promise<Answer>((resolve) => {
    call.on('error', (cause: ServiceError) => resolve(answerOf(cause)));
    call.on('end', () => resolve({ status: 'OK', details: '' }));
  });
  const send = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void => {
    call.write(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
  };
  const next = async (): Promise<DeltaDiscoveryResponse> => await new Promise((resolve) => call.once('data', resolve));
  call.on('data', ({ typeUrl, nonce: responseNonce }: DeltaDiscoveryResponse) => send({ typeUrl, responseNonce }));
  const first = next();
  const { id = 'sidecar~127.0.0.1~x.default~y', metadata: said = {} } = node;
  send({ node: { id, metadata: said }, typeUrl: type, resourceNamesSubscribe: [...names] });
  const response = await Promise.race([first, ended.then(() => null)]);
  void ended.then(() => client.close());
  const close = (): void => {
    call.cancel();
    client.close();
  };
  return { response, next, ended, close };
}

const asBytes = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
const readResponse = (bytes: Buffer): DeltaDiscoveryResponse => fromBinary(DeltaDiscoveryResponseSchema, bytes);
