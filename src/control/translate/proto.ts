// The few shapes that every translation writes: durations, percentages and packed extensions.
import { create, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { AnySchema, DurationSchema } from '@bufbuild/protobuf/wkt';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { FractionalPercentSchema, FractionalPercent_DenominatorType } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import type { FractionalPercent } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import { TYPE_PREFIX } from '../../xds/type-url.ts';

export function duration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1_000_000) });
}

/** A time for the whole request, 0 for none, which is also the most that a client may ask for by `grpc-timeout` (Istio: setTimeout). */
export function timeouts(timeoutMs: number): { readonly timeout: Duration; readonly maxGrpcTimeout: Duration } {
  return { timeout: duration(timeoutMs), maxGrpcTimeout: duration(timeoutMs) };
}

/** Percent with four digits after the point, as Istio writes it. */
export function fraction(percent: number): FractionalPercent {
  return create(FractionalPercentSchema, {
    numerator: Math.round(percent * 10_000),
    denominator: FractionalPercent_DenominatorType.MILLION,
  });
}

export function pack<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Any {
  return create(AnySchema, { typeUrl: TYPE_PREFIX + schema.typeName, value: toBinary(schema, message) });
}
