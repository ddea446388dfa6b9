// Compiles the hash policies of a route. A header policy on `:path` with a regex_rewrite hashes a part of the
// path, such as one capture group: `^/users/([^/]+).*` rewritten to `\1`.
// Source: Envoy RouteAction.HashPolicy.
import { assertNever } from '../base/assert.ts';
import { error } from '../base/problem.ts';
import { headerSource } from '../plan/header-source.ts';
import type { CompileEnv, Origin, PlanPart } from '../plan/plan.ts';
import { compileRegexRewrite } from '../plan/regex-rewrite.ts';
import { step } from '../plan/step.ts';
import { wireText } from '../plan/wire-text.ts';
import type {
  RouteAction,
  RouteAction_HashPolicy as HashPolicyProto,
  RouteAction_HashPolicy_Cookie as CookieProto,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { addHashCookies, runHash, type HashCookie, type HashPolicies, type HashPolicy } from './hash-policy.ts';

/** Null when the route hashes nothing. */
export function compileHashPolicies({ hashPolicy }: RouteAction, env: CompileEnv, path: string): HashPolicies | null {
  const list = hashPolicy.flatMap((policy, index) => compileOne(policy, env, `${path}.hash_policy[${index}]`) ?? []);
  return list.length === 0 ? null : Object.freeze({ list });
}

export function hashPart(policies: HashPolicies | null, origin: Origin): PlanPart {
  if (policies === null) return {};
  const makesCookies = policies.list.some(({ cookie }) => cookie !== null && cookie.isMade);
  return {
    onRequest: [step('hash', origin, runHash, policies)],
    onResponse: makesCookies ? [step('hash-cookies', origin, addHashCookies, policies)] : [],
  };
}

function compileOne(policy: HashPolicyProto, env: CompileEnv, path: string): HashPolicy | null {
  const { policySpecifier: specifier, terminal: isTerminal } = policy;
  const nothing = { header: null, rewrite: null, cookie: null, parameter: '', isTerminal };
  const named = (field: string, name: string): boolean => {
    if (name === '') env.problems.push(error(`${path}.${field}`, 'must not be empty', 'give a name'));
    return name !== '';
  };
  switch (specifier.case) {
    case 'header': {
      const { headerName, regexRewrite } = specifier.value;
      if (!named('header.header_name', headerName)) return null;
      const header = headerSource(headerName);
      if (regexRewrite === undefined) return { ...nothing, kind: 'header', header };
      const rewriting = compileRegexRewrite(regexRewrite, env.problems, `${path}.header.regex_rewrite`);
      return rewriting === null ? null : { ...nothing, kind: 'header', header, rewrite: rewriting.rewrite };
    }
    case 'cookie': {
      if (!named('cookie.name', specifier.value.name)) return null;
      return { ...nothing, kind: 'cookie', cookie: cookieFrom(specifier.value) };
    }
    case 'connectionProperties':
      return specifier.value.sourceIp ? { ...nothing, kind: 'source-ip' } : null;
    case 'queryParameter': {
      const { name } = specifier.value;
      return named('query_parameter.name', name) ? { ...nothing, kind: 'query', parameter: wireText(name) } : null;
    }
    case 'filterState':
      env.problems.push(error(`${path}.filter_state`, 'is not supported', 'hash a header or a cookie'));
      return null;
    case undefined:
      env.problems.push(error(path, 'says nothing', 'write header, cookie, connection_properties or query_parameter'));
      return null;
    default:
      return assertNever(specifier);
  }
}

function cookieFrom({ name, path, ttl, attributes }: CookieProto): HashCookie {
  const seconds = Number(ttl?.seconds ?? 0n);
  const parts = [
    ...(seconds === 0 ? [] : [`Max-Age=${seconds}`]),
    ...(path === '' ? [] : [`Path=${path}`]),
    ...attributes.map((attribute) =>
      attribute.value === '' ? attribute.name : `${attribute.name}=${attribute.value}`,
    ),
    'HttpOnly',
  ];
  const text = parts.map((part) => `; ${wireText(part)}`).join('');
  return Object.freeze({ name: wireText(name), isMade: ttl !== undefined, attributes: text });
}
