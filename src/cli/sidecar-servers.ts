// The servers beside the data plane: admin, readiness, metrics, SDS, as far as they are asked for. Their code is
// loaded when one is. Their sockets may come from a predecessor and go to a successor.
import type { Log } from '../base/log.ts';
import type { RunningServer } from '../sidecar/admin/server.ts';
import type { AdminSource } from '../sidecar/admin/source.ts';
import type { OpenSocket, SocketRole } from '../sidecar/handover/socket-record.ts';
import type { Identity } from '../sidecar/identity.ts';
import type { SdsServer } from '../sidecar/sds-server.ts';
import type { SecretStore } from '../sidecar/secrets.ts';
import type { CommonSettings } from './sidecar-flags.ts';

export interface SidecarServersOptions {
  /** What is served where `settings.sdsPath` says. */
  readonly secrets: SecretStore;
  readonly log: Log;
  readonly source: AdminSource;
  /** Where the bootstrap wants the admin server; null for none. */
  readonly admin: { readonly address: string; readonly port: number } | null;
  readonly settings: CommonSettings;
  readonly app: AppAddress;
  /** Null: the sidecar has none. */
  readonly identity: Identity | null;
  /** A socket of the predecessor for this address; null for none. */
  readonly inherit: (role: SocketRole, address: string, port: number) => number | null;
}

export interface AppAddress {
  /** An IP of the pod; more, after commas, are left alone. */
  readonly address: string;
  /** Connections to the app are redirected to the sidecar. */
  readonly isCaptured: boolean;
}

interface Started {
  readonly role: SocketRole;
  readonly address: string;
  readonly port: number;
  readonly server: RunningServer;
}

/** Where readiness and metrics listen. */
const EVERYWHERE = '0.0.0.0';

export class SidecarServers {
  readonly #options: SidecarServersOptions;
  readonly #started: Started[] = [];
  #sds: SdsServer | null = null;
  /** Null when none was asked for, or before start(). */
  admin: RunningServer | null = null;

  constructor(options: SidecarServersOptions) {
    this.#options = options;
  }

  /** Rejects when an address cannot be had. */
  async start(): Promise<void> {
    const { source, admin, settings, inherit } = this.#options;
    const { readinessPort, metricsPort } = settings;
    if (readinessPort !== null || metricsPort !== null) {
      const { startMetricsServer, startReadinessServer } = await import('../sidecar/admin/probe-server.ts');
      for (const [role, port, start] of [
        ['readiness', readinessPort, startReadinessServer],
        ['metrics', metricsPort, startMetricsServer],
      ] as const) {
        if (port === null) continue;
        const at = { address: EVERYWHERE, port };
        const server = await start(source, { ...at, descriptor: inherit(role, EVERYWHERE, port) });
        this.#started.push({ role, ...at, server });
      }
    }
    await this.#serveStatus();
    await this.#servePages();
    await this.#serveSecrets();
    if (admin === null) return;
    const { startAdminServer } = await import('../sidecar/admin/server.ts');
    const descriptor = inherit('admin', admin.address, admin.port);
    const server = await startAdminServer(source, { ...admin, descriptor });
    this.#started.push({ role: 'admin', address: admin.address, port: admin.port, server });
    this.admin = server;
  }

  /** Those that a successor can be given: whose port was asked for. */
  sockets(): readonly OpenSocket[] {
    return this.#started.flatMap(({ role, address, port, server }) => {
      const descriptor = server.descriptor();
      return port > 0 && descriptor >= 0 ? [{ role, address, port, descriptor }] : [];
    });
  }

  /** What injection wrote of the app stands in the environment: it may have what no command line should show. */
  async #serveStatus(): Promise<void> {
    const {
      source,
      settings,
      inherit,
      log,
      app: { address, isCaptured },
    } = this.#options;
    const { statusPort: port } = settings;
    if (port === null) return;
    const { appPlace } = await import('../sidecar/app-status/app-call.ts');
    const { readAppProbes } = await import('../sidecar/app-status/app-probe.ts');
    const { readAppMetrics, startStatusServer } = await import('../sidecar/app-status/status-server.ts');
    const probes = readAppProbes(process.env['ISTIO_KUBE_APP_PROBERS'] ?? '');
    if (probes === null) log.error('ISTIO_KUBE_APP_PROBERS cannot be read: no probe of the app is answered', {});
    const metrics = readAppMetrics(process.env['ISTIO_PROMETHEUS_ANNOTATIONS'] ?? '');
    const at = { address: EVERYWHERE, port };
    const descriptor = inherit('status', EVERYWHERE, port);
    const place = appPlace(address.split(',')[0] ?? '', isCaptured);
    const app = { place, probes: probes ?? new Map(), metrics };
    this.#started.push({ role: 'status', ...at, server: await startStatusServer(source, { ...at, descriptor }, app) });
  }

  /** Without an identity nobody could tell who asks: there are none then. */
  async #servePages(): Promise<void> {
    const { source, settings, identity, inherit, log } = this.#options;
    const { pagesPort: port } = settings;
    if (port === null || identity === null) return;
    const { startPagesServer } = await import('../sidecar/admin/pages-server.ts');
    const at = { address: EVERYWHERE, port };
    const descriptor = inherit('pages', EVERYWHERE, port);
    const server = await startPagesServer({ source, identity, log: log.child('pages') }, { ...at, descriptor });
    this.#started.push({ role: 'pages', ...at, server });
  }

  /** A successor takes the path away from its predecessor: Envoys connect again. */
  async #serveSecrets(): Promise<void> {
    const { settings, secrets, log } = this.#options;
    if (settings.sdsPath === null) return;
    const { SdsServer: Server, serveIdentity } = await import('../sidecar/sds-server.ts');
    this.#sds = new Server({ log: log.child('sds'), mode: settings.sdsMode });
    serveIdentity(secrets, this.#sds);
    await this.#sds.listen(settings.sdsPath);
  }

  async close(): Promise<void> {
    this.#sds?.close();
    await Promise.all(this.#started.splice(0).map(({ server }) => server.close()));
  }
}
