// Compiles Envoy's StatefulSession, as a filter of a connection manager and as settings of a route, into the
// two steps of session.ts. A filter without a session state does nothing but where a route gives one.
import { anyIs } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { Clock } from '../base/clock.ts';
import { internHeader, UNKNOWN } from '../http/header-name.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { wireText } from '../plan/wire-text.ts';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
  type StatefulSession,
} from '../xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import {
  CookieBasedSessionStateSchema,
  type CookieBasedSessionState,
} from '../xds/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
import { HeaderBasedSessionStateSchema } from '../xds/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
import { unpack } from '../xds/unpack.ts';
import { readSession, writeSession, type SessionSettings } from './session.ts';

type Problems = Pick<CompileEnv, 'problems'>;

/** As a CompileHttpFilter: the filter, and what its routes may say. */
export function compileSession(config: Any, scope: FilterScope): HttpFilter | null {
  const message = unpack(config, StatefulSessionSchema);
  if (message === null) {
    scope.env.problems.push(error(scope.path, 'is no StatefulSession', 'write its fields'));
    return null;
  }
  const part = partOf(message, scope, scope.env, scope.path);
  if (part === null) return null;
  return {
    part,
    withSettings: (any, env, path) => {
      const settings = unpack(any, StatefulSessionPerRouteSchema);
      if (settings === null) return null;
      const { override } = settings;
      if (override.case === 'statefulSession') return partOf(override.value, scope, env, `${path}.stateful_session`);
      if (override.case === 'disabled' && override.value) return {};
      env.problems.push(error(path, 'says nothing', 'write disabled: true or stateful_session'));
      return null;
    },
  };
}

function partOf(config: StatefulSession, scope: FilterScope, env: Problems, path: string): PlanPart | null {
  const any = config.sessionState?.typedConfig;
  if (any === undefined) return {};
  const settings = settingsOf(any, config.strict, {
    clock: scope.clock,
    env,
    path: `${path}.session_state.typed_config`,
  });
  if (settings === null) return null;
  return {
    onRequest: [step('session', scope.name, readSession, settings)],
    onResponse: [step('session', scope.name, writeSession, settings)],
  };
}

interface SessionContext {
  readonly clock: Clock;
  readonly env: Problems;
  readonly path: string;
}

function settingsOf(any: Any, isStrict: boolean, { clock, env, path }: SessionContext): SessionSettings | null {
  const nothing = { header: UNKNOWN, cookie: '', path: '', attributes: '', ttlSeconds: 0, isStrict, clock };
  const cookie = anyIs(any, CookieBasedSessionStateSchema) ? unpack(any, CookieBasedSessionStateSchema) : null;
  if (cookie !== null) {
    const found = cookieSettings(cookie, env, `${path}.cookie`);
    return found === null ? null : Object.freeze({ ...nothing, ...found, toJSON: () => ({ ...found, isStrict }) });
  }
  const header = anyIs(any, HeaderBasedSessionStateSchema) ? unpack(any, HeaderBasedSessionStateSchema) : null;
  if (header === null) {
    env.problems.push(error(path, 'is not a session state that is known', 'write a cookie or a header'));
    return null;
  }
  if (header.name === '') {
    env.problems.push(error(`${path}.name`, 'must be set', 'name the header'));
    return null;
  }
  const { name } = header;
  return Object.freeze({ ...nothing, header: internHeader(name), toJSON: () => ({ header: name, isStrict }) });
}

function cookieSettings(
  { cookie }: CookieBasedSessionState,
  { problems }: Problems,
  path: string,
): Pick<SessionSettings, 'cookie' | 'path' | 'attributes' | 'ttlSeconds'> | null {
  if (cookie === undefined || cookie.name === '') {
    problems.push(error(`${path}.name`, 'must be set', 'name the cookie'));
    return null;
  }
  const ttlSeconds = Number(cookie.ttl?.seconds ?? 0n);
  if (ttlSeconds < 0) {
    problems.push(error(`${path}.ttl`, 'must not be negative', 'write 0s for a session cookie'));
    return null;
  }
  const age = ttlSeconds === 0 ? '' : `; Max-Age=${ttlSeconds}`;
  const where = cookie.path === '' ? '' : `; Path=${wireText(cookie.path)}`;
  return { cookie: wireText(cookie.name), path: cookie.path, attributes: `${age}${where}; HttpOnly`, ttlSeconds };
}
