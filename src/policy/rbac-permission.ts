// Compiles what a policy of RBAC permits or forbids to do (Permission): by header, path, address and port that the
// connection is for, server name, metadata, and lists of these. Refused: matchers that are extensions of Envoy.
import { assertNever } from '../base/assert.ts';
import { compileMetadataMatcher } from '../plan/dynamic-metadata.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import { compileUriTemplate } from '../plan/uri-template.ts';
import type { TypedExtensionConfig } from '../xds/gen/envoy/config/core/v3/extension_pb.js';
import type { Permission } from '../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { UriTemplateMatchConfigSchema } from '../xds/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { unpack } from '../xds/unpack.ts';
import { ALWAYS, allOf, anyOf, notOf, type Judge } from './rbac-judge.ts';
import { pathnameOf } from './rbac-path.ts';
import {
  compileAll,
  compileRange,
  compileSourced,
  compileUrlPath,
  inside,
  refuse,
  type RbacPlace,
} from './rbac-place.ts';

const PORT_MAX = 65_535;

/** Null after reporting why the permission is refused. */
export function compilePermission({ rule }: Permission, place: RbacPlace): Judge | null {
  switch (rule.case) {
    case 'andRules': {
      const all = compileAll(rule.value.rules, inside(place, 'and_rules.rules'), compilePermission);
      return all === null ? null : allOf(all);
    }
    case 'orRules': {
      const all = compileAll(rule.value.rules, inside(place, 'or_rules.rules'), compilePermission);
      return all === null ? null : anyOf(all);
    }
    case 'notRule': {
      const at = inside(place, 'not_rule');
      const [inner] = compileAll([rule.value], at, (config) => compilePermission(config, at)) ?? [];
      return inner === undefined ? null : notOf(inner);
    }
    case 'any':
      return rule.value ? ALWAYS : refuse(inside(place, 'any'), 'must be true', 'write any: true');
    case 'header': {
      const holds = compileHeaderMatch(rule.value, place.problems, `${place.path}.header`);
      return holds === null ? null : ({ request }) => holds(request);
    }
    case 'urlPath':
      return compileUrlPath(rule.value, inside(place, 'url_path'));
    case 'uriTemplate':
      return compileTemplate(rule.value, inside(place, 'uri_template'));
    case 'destinationIp':
      return compileRange(rule.value, inside(place, 'destination_ip'), ({ connection }) => connection.localAddress);
    case 'destinationPort': {
      const port = rule.value;
      if (port > PORT_MAX)
        return refuse(inside(place, 'destination_port'), `${port} is not a port`, 'write 0 to 65535');
      return ({ connection }) => connection.localPort === port;
    }
    case 'destinationPortRange': {
      const { start, end } = rule.value;
      if (start < 0 || end > PORT_MAX + 1 || start >= end)
        return refuse(inside(place, 'destination_port_range'), 'is no range of ports', 'write start below end');
      return ({ connection }) => connection.localPort >= start && connection.localPort < end;
    }
    case 'metadata':
      return compileMetadataMatcher(rule.value, place.problems, `${place.path}.metadata`);
    case 'sourcedMetadata':
      return compileSourced(rule.value, inside(place, 'sourced_metadata'));
    case 'requestedServerName': {
      const holds = compileStringMatch(rule.value, place.problems, `${place.path}.requested_server_name`);
      return holds === null ? null : ({ connection }) => holds(connection.serverName);
    }
    case 'matcher':
      return refuse(inside(place, 'matcher'), 'extensions of RBAC are not supported', 'write one of the other rules');
    case undefined:
      return refuse(place, 'asks for nothing that is known', 'write any: true, or a condition');
    default:
      return assertNever(rule);
  }
}

function compileTemplate({ typedConfig }: TypedExtensionConfig, place: RbacPlace): Judge | null {
  const config = typedConfig === undefined ? null : unpack(typedConfig, UriTemplateMatchConfigSchema);
  const known = 'write envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig';
  if (config === null) return refuse(place, 'is no matcher of paths that is known', known);
  const template = compileUriTemplate(config.pathTemplate, place.problems, `${place.path}.typed_config.path_template`);
  return template === null ? null : ({ request }) => request.path !== '' && template.matches(pathnameOf(request.path));
}
