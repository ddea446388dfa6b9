// The name of an SDS server as a source of secrets: the cluster that leads there and the variant that is spoken.
import type { ConfigSource } from '../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { ApiConfigSource_ApiType as ApiType } from '../xds/gen/envoy/config/core/v3/config_source_pb.js';
import type { Variant } from '../xds/update.ts';
import { IDENTITY, IDENTITY_CLUSTER, type SecretOrigin } from './secrets.ts';

export interface SdsSource {
  readonly cluster: string;
  readonly variant: Variant;
}

/** The identity where the process has none and nobody else gives one: nothing ever comes, and who needs it refuses. */
export const NO_IDENTITY = 'no identity';
const PREFIX = 'sds:';

/** The source that an api_config_source is; or why it is none. */
export function sdsSourceOf(
  { configSourceSpecifier: { case: kind, value } }: ConfigSource,
  { identityCluster, addressesOf }: SecretOrigin,
): { readonly source: string } | { readonly refusal: string } {
  const target = kind === 'apiConfigSource' ? value.grpcServices[0]?.targetSpecifier : undefined;
  if (kind !== 'apiConfigSource' || target?.case !== 'envoyGrpc') return { refusal: 'it names no cluster' };
  const { clusterName } = target.value;
  if (clusterName === identityCluster) return { source: IDENTITY };
  const addresses = addressesOf(clusterName);
  if (typeof addresses === 'string' && clusterName === IDENTITY_CLUSTER) return { source: NO_IDENTITY };
  if (typeof addresses === 'string') return { refusal: addresses };
  return { source: `${PREFIX}${value.apiType === ApiType.DELTA_GRPC ? 'delta' : 'sotw'} ${clusterName}` };
}

/** Null: it is another kind of source. */
export function readSdsSource(source: string): SdsSource | null {
  if (!source.startsWith(PREFIX)) return null;
  const at = source.indexOf(' ');
  const variant = source.slice(PREFIX.length, at) === 'delta' ? 'delta' : 'sotw';
  return { cluster: source.slice(at + 1), variant };
}
