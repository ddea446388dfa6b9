// Sessions that stay with an endpoint, as Envoy's stateful_session filter: the filter stands in the connection manager
// once anybody wants sessions and does nothing by itself; routes and weighted clusters say which session they have.
import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { SessionPersistence } from '../../config/session-persistence.ts';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../../xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { CookieBasedSessionStateSchema } from '../../xds/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
import { HeaderBasedSessionStateSchema } from '../../xds/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
import { HttpFilterSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpFilter } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Scope } from '../scope.ts';
import { duration, pack } from './proto.ts';

const FILTER = 'envoy.filters.http.stateful_session';

/** Null where nobody wants sessions. */
export function sessionFilter({ snapshot }: Scope): HttpFilter | null {
  if (!snapshot.usesSessions) return null;
  return create(HttpFilterSchema, {
    name: FILTER,
    configType: { case: 'typedConfig', value: pack(StatefulSessionSchema, create(StatefulSessionSchema)) },
  });
}

/** What an XBackendTrafficPolicy says of a port of a host; null when none does. */
export function sessionOf(scope: Scope, host: string, number: number): Session | null {
  const service = scope.snapshot.services.get(host);
  const port = service?.ports.find((candidate) => candidate.number === number);
  if (service === undefined || port === undefined) return null;
  for (const section of scope.snapshot.resilience.ofService(service, port))
    if (section.kind === 'sessionPersistence')
      return { ...section.session, defaultName: `${service.namespace}-${service.name}` };
  return null;
}

export interface Session extends SessionPersistence {
  /** Part of the name of a cookie or header that nobody named. */
  readonly defaultName: string;
}

export function applySession(target: { typedPerFilterConfig: Record<string, Any> }, session: Session | null): void {
  if (session === null) return;
  const settings = create(StatefulSessionPerRouteSchema, {
    override: {
      case: 'statefulSession',
      value: create(StatefulSessionSchema, {
        sessionState: {
          name: `envoy.http.stateful_session.${session.carrier}`,
          typedConfig: stateOf(session),
        },
      }),
    },
  });
  target.typedPerFilterConfig[FILTER] = pack(StatefulSessionPerRouteSchema, settings);
}

function stateOf({ carrier, name, lifetimeMs, defaultName }: Session): Any {
  if (carrier === 'header')
    return pack(
      HeaderBasedSessionStateSchema,
      create(HeaderBasedSessionStateSchema, { name: name === '' ? `x-session-${defaultName}` : name }),
    );
  const cookie = {
    name: name === '' ? `session-${defaultName}` : name,
    path: '/',
    ttl: duration(lifetimeMs - (lifetimeMs % 1000)),
  };
  return pack(CookieBasedSessionStateSchema, create(CookieBasedSessionStateSchema, { cookie }));
}
