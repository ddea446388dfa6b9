// Ending things: `/drain`, `/drain_listeners` and `/quitquitquit`.
import { text, type AdminEndpoint } from './endpoint.ts';

/**
 * What a pod asks for that begins to stop (preStop): others go elsewhere, while the app ends its work and may still send.
 * Readiness fails, responses to those outside are their connections' last, nothing is closed, and the process goes on.
 */
export const drain: AdminEndpoint = {
  path: '/drain',
  isPostOnly: true,
  help: 'fail readiness and let inbound connections end; accept on, send on, do not exit',
  parameters: [],
  answer: ({ source }) => {
    source.setHealthcheckFailed(true);
    source.drainListeners({ isGraceful: true, inboundOnly: true });
    return text('OK\n');
  },
};

export const drainListeners: AdminEndpoint = {
  path: '/drain_listeners',
  isPostOnly: true,
  help: 'drain listeners',
  parameters: [
    ['graceful', 'enter a graceful drain period before the listeners close'],
    ['inboundonly', 'drain only the listeners whose traffic_direction is INBOUND'],
  ],
  answer: ({ source, query }) => {
    source.drainListeners({ isGraceful: query.has('graceful'), inboundOnly: query.has('inboundonly') });
    return text('OK\n');
  },
};

export const quit: AdminEndpoint = {
  path: '/quitquitquit',
  isPostOnly: true,
  help: 'exit the server',
  parameters: [],
  answer: ({ source }) => ({ ...text('OK\n'), afterSent: () => source.quit() }),
};
