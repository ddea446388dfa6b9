// A claim of the request's token in a match: Envoy's matcher on what its JWT filter leaves in the metadata. A claim
// that is a list matches when one of its members does, as a claim that is text does by itself.
// Source: istio pilot/pkg/security/authz/matcher.
import { create } from '@bufbuild/protobuf';
import {
  MetadataMatcherSchema,
  MetadataMatcher_PathSegmentSchema,
  type MetadataMatcher,
} from '../../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { ValueMatcherSchema, type ValueMatcher } from '../../xds/gen/envoy/type/matcher/v3/value_pb.js';
import { JWT_FILTER, PAYLOAD } from './jwt-names.ts';

/** `wanted` null: the claim is there, whatever it is. */
export function claimMatcher(
  claim: readonly string[],
  wanted: StringMatcher | null,
  isInverted: boolean,
): MetadataMatcher {
  return create(MetadataMatcherSchema, {
    filter: JWT_FILTER,
    path: [PAYLOAD, ...claim].map((key) => {
      return create(MetadataMatcher_PathSegmentSchema, { segment: { case: 'key', value: key } });
    }),
    value: valueOf(wanted),
    invert: isInverted,
  });
}

function valueOf(wanted: StringMatcher | null): ValueMatcher {
  if (wanted === null) return create(ValueMatcherSchema, { matchPattern: { case: 'presentMatch', value: true } });
  const text = create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value: wanted } });
  const list = create(ValueMatcherSchema, {
    matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: text } } },
  });
  return create(ValueMatcherSchema, { matchPattern: { case: 'orMatch', value: { valueMatchers: [list, text] } } });
}
