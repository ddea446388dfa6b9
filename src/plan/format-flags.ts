// The long names of Envoy's response flags, for %RESPONSE_FLAGS_LONG%.
import { FLAGS, type FlagName } from './response-flags.ts';

const LONG_NAMES: Readonly<Record<FlagName, string>> = {
  LH: 'FailedLocalHealthCheck',
  UH: 'NoHealthyUpstream',
  UT: 'UpstreamRequestTimeout',
  LR: 'LocalReset',
  UR: 'UpstreamRemoteReset',
  UF: 'UpstreamConnectionFailure',
  UC: 'UpstreamConnectionTermination',
  UO: 'UpstreamOverflow',
  NR: 'NoRouteFound',
  DI: 'DelayInjected',
  FI: 'FaultInjected',
  RL: 'RateLimited',
  UAEX: 'UnauthorizedExternalService',
  RLSE: 'RateLimitServiceError',
  DC: 'DownstreamConnectionTermination',
  URX: 'UpstreamRetryLimitExceeded',
  SI: 'StreamIdleTimeout',
  IH: 'InvalidEnvoyRequestHeaders',
  DPE: 'DownstreamProtocolError',
  UMSDR: 'UpstreamMaxStreamDurationReached',
  RFCF: 'ResponseFromCacheFilter',
  NFCF: 'NoFilterConfigFound',
  DT: 'DurationTimeout',
  UPE: 'UpstreamProtocolError',
  NC: 'NoClusterFound',
  OM: 'OverloadManagerTerminated',
  DF: 'DnsResolutionFailed',
  DR: 'DownstreamRemoteReset',
  DO: 'DropOverload',
  UDO: 'UnconditionalDropOverload',
};

const ENTRIES: readonly (readonly [bit: number, name: string])[] = [
  ...new Map(Object.entries(LONG_NAMES).map(([letters, name]) => [letters, name])),
].map(([letters, name]) => [new Map<string, number>(Object.entries(FLAGS)).get(letters) ?? 0, name]);

/** The long names of the flags in `bits`, joined by commas; a dash for none. */
export function longFlags(bits: number): string {
  if (bits === 0) return '-';
  let names = '';
  for (const [bit, name] of ENTRIES) if ((bits & bit) !== 0) names += names === '' ? name : `,${name}`;
  return names;
}
