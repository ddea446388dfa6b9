// What a discovery client hands to its owner when a response arrived, and what the owner says about
// it. Shared by the state-of-the-world and the delta client. A refusal makes the answer a NACK that
// names the resource; everything not refused counts as accepted (gRFC A46, A88).
import type { Any } from '@bufbuild/protobuf/wkt';

import { formatProblem, type Problem } from '../base/problem.ts';
import type { TypeUrl } from './type-url.ts';

/** Delta or state-of-the-world, as `api_type` of an Envoy ApiConfigSource: DELTA_GRPC or GRPC. */
export type Variant = 'delta' | 'sotw';

export interface ReceivedResource {
  readonly name: string;
  /** Delta: the resource's own version. State of the world: the `version_info` of the response. */
  readonly version: string;
  /** The resource itself; `unpack(resource, Schema)` decodes it. */
  readonly resource: Any;
}

export interface Update {
  readonly typeUrl: TypeUrl;
  /** `version_info` or `system_version_info`. */
  readonly version: string;
  /** New or changed; a server may also repeat what the client already holds. */
  readonly changed: readonly ReceivedResource[];
  /** Names that exist no longer, or that were asked for and do not exist. */
  readonly removed: readonly string[];
}

/** One resource that the owner could not use; its last good version stays in force. */
export interface Refusal {
  readonly name: string;
  readonly problems: readonly Problem[];
}

/** The text of a NACK's `error_detail`: one line per problem, each beginning with the resource's name. */
export function formatRefusals(refusals: readonly Refusal[]): string {
  const lines: string[] = [];
  for (const { name, problems } of refusals) {
    const errors = problems.filter((problem) => problem.severity === 'error');
    if (errors.length === 0) lines.push(`${name}: refused`);
    for (const problem of errors) lines.push(`${name}: ${formatProblem(problem)}`);
  }
  return lines.join('\n');
}
