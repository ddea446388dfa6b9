// What share of the traffic each locality of a priority takes: the effective weights of locality
// weighting, and the residual capacities of zone aware routing. Pure; Envoy's whole-number arithmetic.
// Source: Envoy arch_overview load_balancing/{locality_weight,zone_aware}.

/** How zone aware routing divides. Localities are in the order given, the local one first. */
export interface ZoneShare {
  /** Of 10,000 requests, those that stay; 10,000: all do. */
  readonly localTenThousandths: number;
  /** Sums of the capacity left in each locality up to and with it; meaningless when all stay. */
  readonly residual: readonly number[];
}

/** A locality's weight, less the share of its endpoints that are out of service beyond the overprovisioning. */
export function effectiveWeight(
  weight: number,
  { fit, total }: { readonly fit: number; readonly total: number },
  overprovisioningFactor: number,
): number {
  return total === 0 ? 0 : weight * Math.min(1, (overprovisioningFactor / 100) * (fit / total));
}

export interface ZoneCounts {
  /** Fit endpoints of the priority by locality. */
  readonly upstream: readonly number[];
  /** Sidecars like this one, in the same localities. */
  readonly local: readonly number[];
  /** Sidecars like this one anywhere. */
  readonly localTotal: number;
  /** True: the first locality is this sidecar's. */
  readonly hasLocal: boolean;
}

export function zoneShareOf({ upstream, local, localTotal, hasLocal }: ZoneCounts): ZoneShare {
  const upstreamParts = partsOf(
    upstream,
    upstream.reduce((sum, count) => sum + count, 0),
  );
  const localParts = partsOf(local, localTotal);
  const [firstUpstream = 0] = upstreamParts;
  const [firstLocal = 0] = localParts;
  if (hasLocal && firstUpstream > 0 && firstUpstream >= firstLocal) {
    return { localTenThousandths: 10_000, residual: upstream.map(() => 0) };
  }
  let sum = 0;
  const residual = upstreamParts.map((part, index) => {
    // The local one takes what it can already.
    if (index > 0 || !hasLocal) sum += Math.max(0, part - (localParts[index] ?? 0));
    return sum;
  });
  const localTenThousandths = hasLocal && firstLocal > 0 ? Math.floor((firstUpstream * 10_000) / firstLocal) : 0;
  return { localTenThousandths, residual };
}

function partsOf(counts: readonly number[], total: number): readonly number[] {
  return counts.map((count) => (total === 0 ? 0 : Math.floor((10_000 * count) / total)));
}
