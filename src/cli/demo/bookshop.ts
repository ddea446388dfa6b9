// Who lives in the bookshop: the workloads of the demo, each an app process of examples/bookshop with a
// sidecar process of its own.
import { inCheckout } from './checkout.ts';

export interface Workload {
  /** As it is called in messages: `reviews v2`. */
  readonly title: string;
  readonly service: string;
  readonly version: string;
  /** The app's script. */
  readonly script: string;
}

export const RULES_DIRECTORY = inCheckout('examples/bookshop/rules');
export const LAUNCHER = inCheckout('bin/outrigger.js');

/** The order in which a visit passes the services: the order of the table's rows. */
export const SERVICES = ['frontend', 'catalog', 'reviews', 'ratings'] as const;

const VERSIONS: Readonly<Record<string, readonly string[]>> = { reviews: ['v1', 'v2', 'v3'] };

export const WORKLOADS: readonly Workload[] = SERVICES.flatMap((service) =>
  (VERSIONS[service] ?? ['v1']).map((version) => ({
    title: `${service} ${version}`,
    service,
    version,
    script: inCheckout(`examples/bookshop/${service}.ts`),
  })),
);
