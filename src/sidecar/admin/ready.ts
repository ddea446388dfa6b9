// Readiness, and the switch that takes it away: `/ready`, `/healthcheck/fail`, `/healthcheck/ok`.
import { text, type AdminEndpoint } from './endpoint.ts';
import type { AdminSource } from './source.ts';

export const ready: AdminEndpoint = {
  path: '/ready',
  isPostOnly: false,
  help: 'print server state, return 200 if LIVE, otherwise return 503',
  parameters: [],
  answer: ({ source }) => {
    const state = source.state();
    return text(readiness(source), state === 'LIVE' ? 200 : 503);
  },
};

/** The state, then what it depends on. */
export function readiness(source: AdminSource): string {
  return [source.state(), ...(source.notices?.() ?? [])].map((line) => `${line}\n`).join('');
}

export const healthcheckFail: AdminEndpoint = {
  path: '/healthcheck/fail',
  isPostOnly: true,
  help: 'cause the server to fail health checks',
  parameters: [],
  answer: ({ source }) => {
    source.setHealthcheckFailed(true);
    return text('OK\n');
  },
};

export const healthcheckOk: AdminEndpoint = {
  path: '/healthcheck/ok',
  isPostOnly: true,
  help: 'cause the server to pass health checks',
  parameters: [],
  answer: ({ source }) => {
    source.setHealthcheckFailed(false);
    return text('OK\n');
  },
};
