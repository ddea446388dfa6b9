// `/explain`: what a request would meet, without sending it: per listener the virtual host, the routes
// that it passed by and why, its route, where that leads, and the plan. The request is parsed, prepared
// and matched by the very code that serves; the plan's request steps run on a copy that goes nowhere, so
// a weighted split answers as it would this time. Nothing is counted, logged or sent.
import { Framing, inspectRequest } from '../http/framing.ts';
import { HeadParser } from '../http/head-parser.ts';
import { formatAddress } from '../plan/cluster.ts';
import { Exchange, NO_CONNECTION } from '../plan/exchange.ts';
import { REPLY, RESET, type Plan } from '../plan/plan.ts';
import { printPlan } from '../plan/print.ts';
import { run } from '../plan/run.ts';
import { explainRoute } from '../routing/explain.ts';
import { HostTable } from '../routing/host-table.ts';
import type { ExplainedRequest } from './admin/source.ts';
import { PREPARED, prepareRequest } from './downstream-headers.ts';
import type { HttpManager } from './http-manager.ts';
import type { Listener } from './listener.ts';

/** Lines of text, or null when the request is not one that HTTP/1.1 can carry. */
export function explainRequest(
  listeners: readonly (readonly [name: string, listener: Listener])[],
  request: ExplainedRequest,
): string | null {
  const lines: string[] = [];
  for (const [name, { config, isInbound }] of listeners) {
    if (request.listener !== null && request.listener !== name) continue;
    lines.push(`listener ${name}`);
    const [chain] = config.chains;
    if (chain?.kind === 'tcp') {
      const clusters = chain.proxy.clusters.map((cluster) => cluster.name);
      lines.push(`  takes opaque TCP to ${clusters.join(' or ')}`);
    } else if (chain !== undefined) {
      const found = explainHttp(chain.manager, isInbound, request);
      if (found === null) return null;
      lines.push(...found.map((line) => `  ${line}`));
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

function explainHttp(manager: HttpManager, isInbound: boolean, request: ExplainedRequest): string[] | null {
  const x = new Exchange();
  const { headBytesMax, headerCountMax } = manager;
  const parser = new HeadParser('request', { bytesMax: headBytesMax, countMax: headerCountMax });
  const head = Buffer.from(headOf(request), 'latin1');
  // More, or less, than one head: somebody wrote a line break.
  if (parser.parse(head, 0, x.request) !== head.length) return null;
  if (inspectRequest(x.request, new Framing()) !== 0) return null;
  x.connection = { ...NO_CONNECTION, remoteAddress: '127.0.0.1', localAddress: '127.0.0.1', isInbound };
  const prepared = prepareRequest(x, manager);
  if (prepared !== PREPARED) return [`refused before any route: ${prepared === 307 ? 307 : 400}`];
  const { table } = manager.routes;
  if (!(table instanceof HostTable)) return [`table ${manager.routes.name} has not come yet: 404 (NR)`];
  const { host, passed, plan, isTlsRedirect } = explainRoute(table, x);
  const lines = [`table ${table.name}`];
  if (host === null) return [...lines, `no virtual host for ${x.request.authority}: 404 (NR)`];
  lines.push(`virtual host ${host.name} (${host.domains.join(', ')})`);
  for (const { route, reason } of passed) lines.push(`not route ${route}: ${reason}`);
  if (plan === null) return [...lines, 'no route matches: 404 (NR)'];
  lines.push(isTlsRedirect ? 'sent to https by require_tls' : `route ${plan.route === '' ? '(unnamed)' : plan.route}`);
  return [...lines, ...leadsTo(x, plan), ...printPlan(plan).trimEnd().split('\n')];
}

function headOf({ method, path, host, headers }: ExplainedRequest): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join('')}\r\n`;
}

function leadsTo(x: Exchange, plan: Plan): string[] {
  x.plan = plan;
  const verdict = run(x, plan.onRequest);
  const why = x.details === '' ? '' : `: ${x.details}`;
  if (verdict === REPLY) return [`answered here with ${x.response.status} by step ${x.stoppedBy?.name ?? ''}${why}`];
  if (verdict === RESET) return [`cut without an answer by step ${x.stoppedBy?.name ?? ''}`];
  const { cluster: reference } = x;
  if (reference === null) return ['leads to no cluster'];
  const { cluster } = reference;
  if (cluster === null) return [`cluster ${reference.name} is not there: 503 (NC)`];
  const isSplit = x.splitIndex !== -1 ? ', this time' : '';
  return [
    `cluster ${reference.name}${isSplit}`,
    ...cluster.endpoints.map(
      ({ address, port, isHealthy }) => `  endpoint ${formatAddress(address, port)}${isHealthy ? '' : ' (unhealthy)'}`,
    ),
    ...(cluster.endpoints.length === 0 ? ['  no endpoints: 503 (UH)'] : []),
    `sent as ${x.request.method} ${x.request.path} to host ${x.request.authority}`,
  ];
}
