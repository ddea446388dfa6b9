// A routing case: a RouteConfiguration as JSON and requests in one line each, with what Envoy 1.40
// answers to them (checked by running every case through it). Replies are written `STATUS LOCATION|BODY`,
// then ` | name: value` for each further header that the case edits.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

export interface RoutingCase {
  readonly name: string;
  readonly config: JsonObject;
  /** `METHOD host path | header: value | …` and the reply. */
  readonly requests: readonly (readonly [request: string, reply: string])[];
}

/** A route that answers 200 with `body`. */
export function answers(body: string, match: JsonObject, more: JsonObject = {}): JsonObject {
  return { match, directResponse: { status: 200, body: { inlineString: body } }, ...more };
}

export function redirects(redirect: JsonObject, match: JsonObject, more: JsonObject = {}): JsonObject {
  return { match, redirect, ...more };
}

/** One virtual host for every domain. */
export function oneHost(...routes: JsonValue[]): JsonObject {
  return { name: 'table', virtualHosts: [{ name: 'all', domains: ['*'], routes }] };
}

export function aHost(name: string, domains: string[], ...routes: JsonValue[]): JsonObject {
  return { name, domains, routes };
}

/** Routes whose only difference is one header matcher, and a fallback that answers `other`. */
export function byHeader(matcher: JsonObject): JsonObject {
  return oneHost(answers('held', { prefix: '/', headers: [matcher] }), answers('other', { prefix: '/' }));
}

export function byQuery(matcher: JsonObject): JsonObject {
  return oneHost(answers('held', { prefix: '/', queryParameters: [matcher] }), answers('other', { prefix: '/' }));
}
