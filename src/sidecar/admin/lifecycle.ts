// Ending things: `/drain_listeners` and `/quitquitquit`.
import { text, type AdminEndpoint } from './endpoint.ts';

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
