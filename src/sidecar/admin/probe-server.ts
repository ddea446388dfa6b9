// The two ports that kubelets and scrapers reach from outside the pod: readiness (15021) and metrics
// (15090). They serve one path each and can change nothing, which is why they may listen on every
// address while the admin server may not.
import { text, type AdminEndpoint } from './endpoint.ts';
import { readiness } from './ready.ts';
import { startAdminServer, type AdminAddress, type RunningServer } from './server.ts';
import type { AdminSource } from './source.ts';
import { prometheusAnswer } from './stats.ts';

const healthzReady: AdminEndpoint = {
  path: '/healthz/ready',
  isPostOnly: false,
  help: 'answer 200 when the sidecar is ready for traffic, else 503',
  parameters: [],
  answer: ({ source }) => {
    if (source.state() !== 'LIVE') return text(readiness(source), 503);
    return text((source.notices?.() ?? []).map((line) => `${line}\n`).join(''));
  },
};

const scrape: AdminEndpoint = {
  path: '/stats/prometheus',
  isPostOnly: false,
  help: 'metrics',
  parameters: [],
  answer: prometheusAnswer,
};

/** Where both listen unless told otherwise. */
export const EVERYWHERE = '0.0.0.0';

/** `/healthz/ready` on all addresses unless told otherwise. */
export function startReadinessServer(source: AdminSource, at: AdminAddress): Promise<RunningServer> {
  return startAdminServer(source, { ...at, address: at.address ?? EVERYWHERE }, [healthzReady]);
}

/** `/stats/prometheus` on all addresses unless told otherwise. */
export function startMetricsServer(source: AdminSource, at: AdminAddress): Promise<RunningServer> {
  return startAdminServer(source, { ...at, address: at.address ?? EVERYWHERE }, [scrape]);
}
