// Compiles and runs route tables in tests: what a driver would do up to the reply.
import { createRegistry, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { clusterId } from '../../../src/base/brand.ts';
import type { Problem } from '../../../src/base/problem.ts';
import { H, internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { merge, REPLY, type CompileEnv } from '../../../src/plan/plan.ts';
import { run } from '../../../src/plan/run.ts';
import { compileRouteTable } from '../../../src/routing/compile.ts';
import type { HostTable } from '../../../src/routing/host-table.ts';
import { RouteConfigurationSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { UriTemplateMatchConfigSchema } from '../../../src/xds/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { UriTemplateRewriteConfigSchema } from '../../../src/xds/gen/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite_pb.js';

const registry = createRegistry(UriTemplateMatchConfigSchema, UriTemplateRewriteConfigSchema);

export interface Compiled {
  readonly table: HostTable | null;
  readonly problems: readonly Problem[];
  readonly env: CompileEnv;
}

export interface CompileOptions {
  readonly random?: () => number;
  readonly runtime?: Readonly<Record<string, number>>;
  readonly suppressesEnvoyHeaders?: boolean;
  /** References of the compilation's own by default. */
  readonly clusterRef?: (name: string) => ClusterRef;
}

export function compileTable(config: JsonObject, options: CompileOptions = {}): Compiled {
  const problems: Problem[] = [];
  const refs = new Map<string, ClusterRef>();
  const ownRef = (name: string): ClusterRef => {
    const ref = refs.get(name) ?? new ClusterRef(clusterId(name));
    refs.set(name, ref);
    return ref;
  };
  const runtimeNumber = (key: string, fallback: number): number => options.runtime?.[key] ?? fallback;
  const { clusterRef = ownRef } = options;
  const env: CompileEnv = { problems, clusterRef, random: options.random ?? ((): number => 0.5), runtimeNumber };
  const table = compileRouteTable(fromJson(RouteConfigurationSchema, config, { registry }), env, {
    origin: 'test/table',
    finish: (init, part) => merge(init, [part]),
    suppressesEnvoyHeaders: options.suppressesEnvoyHeaders ?? false,
  });
  return { table, problems, env };
}

/** An exchange whose request is written `METHOD host path | header: value | …`. */
export function anExchange(line: string): Exchange {
  const [start = '', ...headers] = line.split(' | ');
  const [method = '', authority = '', path = ''] = start.split(' ');
  const x = new Exchange();
  x.request.method = method;
  x.request.path = path;
  x.request.setAuthority(authority);
  for (const text of headers) {
    const colon = text.indexOf(':');
    x.request.add(internHeader(text.slice(0, colon)), text.slice(colon + 1).trim());
  }
  return x;
}

/** Matches and runs the request phase; the verdict of the phase, or null when nothing matches. */
export function begin(table: HostTable, x: Exchange): number | null {
  const plan = table.match(x);
  if (plan === null) return null;
  x.plan = plan;
  return run(x, plan.onRequest);
}

/** The reply as a routing case writes it. */
export function replyTo(table: HostTable, line: string): string {
  const x = anExchange(line);
  const verdict = begin(table, x);
  if (verdict === null) return '404 ';
  if (verdict !== REPLY) return `forward ${x.cluster?.name ?? ''}`;
  const { response } = x;
  const rest: string[] = [];
  for (let i = 0; i < response.count; i++) {
    if (!response.isRemovedAt(i) && response.ids[i] !== H.location)
      rest.push(`${response.nameAt(i)}: ${response.valueAt(i)}`);
  }
  return [`${response.status} ${response.get(H.location) ?? x.replyBody}`, ...rest].join(' | ');
}
