// One small rule of each kind whose status is ours: what it is made of, and the conditions that it gets in a cluster that has
// nothing but the rules themselves.
import type { KubeKind } from '../../src/kube/kind-path.ts';
import { ruleKinds } from '../../src/control/kubernetes/watched-kinds.ts';

export interface RuleOfKind {
  readonly kind: KubeKind;
  readonly spec: object;
  /** `TYPE STATUS REASON`. */
  readonly said: readonly string[];
}

/** Kinds without a status of ours, and one that no test has a definition of. */
const SILENT: ReadonlySet<string> = new Set(['ReferenceGrant', 'XBackendTrafficPolicy']);

const ACCEPTED = 'Accepted True Accepted';
const PROGRAMMED = 'Programmed True Programmed';
const PLAIN = [ACCEPTED, PROGRAMMED];
const missing = (reason: string): readonly string[] => [ACCEPTED, `ResolvedRefs False ${reason}`, PROGRAMMED];
const LOST = missing('ReferencedResourceNotFound');
const TARGET = { targetRefs: [{ group: '', kind: 'Service', name: 'gone' }] };

const SPECS: Readonly<Record<string, readonly [object, readonly string[]]>> = {
  VirtualService: [{ hosts: ['gone'], http: [{ route: [{ destination: { host: 'gone' } }] }] }, LOST],
  DestinationRule: [{ host: 'gone' }, LOST],
  Sidecar: [{ egress: [{ hosts: ['./*'] }] }, PLAIN],
  EnvoyFilter: [{ workloadSelector: { labels: { app: 'web' } } }, PLAIN],
  Telemetry: [{ tracing: [{ providers: [{ name: 'gone' }] }] }, LOST],
  ServiceEntry: [
    { hosts: ['api.example'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
    PLAIN,
  ],
  WorkloadEntry: [{ address: '10.0.0.9' }, PLAIN],
  AuthorizationPolicy: [{ ...TARGET, rules: [{}] }, LOST],
  RequestAuthentication: [{ ...TARGET, jwtRules: [] }, LOST],
  PeerAuthentication: [{ mtls: { mode: 'PERMISSIVE' } }, PLAIN],
  RateLimitPolicy: [{ ...TARGET, limits: [{ name: 'all', requests: 10, per: '1s' }] }, LOST],
  ResiliencePolicy: [{ ...TARGET, retryBudget: { percent: 20 } }, LOST],
  Extension: [{ ...TARGET, module: 'web', digest: `sha256:${'0'.repeat(64)}` }, LOST],
  HTTPRoute: [
    {
      parentRefs: [{ group: '', kind: 'Service', name: 'gone' }],
      rules: [{ backendRefs: [{ name: 'gone', port: 80 }] }],
    },
    ['Accepted False NoMatchingParent', 'ResolvedRefs False BackendNotFound', 'Programmed False NoMatchingParent'],
  ],
};

/** Throws when a kind has no row. */
export function rulesOfEachKind(): readonly RuleOfKind[] {
  return ruleKinds()
    .filter(({ kind }) => !SILENT.has(kind))
    .map((kind) => {
      const row = SPECS[kind.kind];
      if (row === undefined) throw new Error(`no rule of the kind ${kind.kind}`);
      const [spec, said] = row;
      return { kind, spec, said };
    });
}
