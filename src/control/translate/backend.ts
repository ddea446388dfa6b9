// Whether a backendRef of an HTTPRoute leads anywhere: the kind, the Service, its port, and for another
// namespace a ReferenceGrant (Gateway API: BackendNotFound, InvalidKind, RefNotPermitted).
import { unresolved, warning, type Problem, type ReferenceFault } from '../../base/problem.ts';
import type { BackendRef } from '../../config/http-route-filter.ts';
import type { HttpRoute } from '../../config/resource.ts';
import type { Scope } from '../scope.ts';

export type Backend =
  | { readonly kind: 'valid'; readonly host: string; readonly port: number }
  | {
      readonly kind: 'invalid';
      readonly fault: ReferenceFault;
      readonly message: string;
      readonly remedy: string;
    };

export function resolveBackend(ref: BackendRef, owner: HttpRoute, scope: Scope): Backend {
  if (ref.group !== '' && ref.group !== 'core')
    return invalid(
      'InvalidKind',
      `a backend of group "${ref.group}" and kind ${ref.kind} is not known`,
      'write group: "" and kind: Service',
    );
  if (ref.kind !== 'Service')
    return invalid('InvalidKind', `a backend of kind ${ref.kind} is not known`, 'write kind: Service');
  const namespace = ref.namespace === '' ? owner.meta.namespace : ref.namespace;
  if (namespace !== owner.meta.namespace && !isGranted(ref, namespace, owner, scope))
    return invalid(
      'RefNotPermitted',
      `no ReferenceGrant in ${namespace} lets HTTPRoutes of ${owner.meta.namespace} use the Service ${ref.name}`,
      `add a ReferenceGrant in ${namespace}`,
    );
  if (ref.port === 0) return invalid('BackendNotFound', 'the backend has no port', 'add port:');
  const host = `${ref.name}.${namespace}.svc.${scope.snapshot.domain}`;
  const service = scope.snapshot.services.get(host);
  if (service === undefined)
    return invalid(
      'BackendNotFound',
      `there is no Service ${namespace}/${ref.name}`,
      'correct the name, or add the Service',
    );
  if (service.ports.some((port) => port.number === ref.port)) return { kind: 'valid', host, port: ref.port };
  const numbers = service.ports.map((port) => port.number).join(', ');
  const remedy = numbers === '' ? 'name another Service' : `write one of ${numbers}`;
  return service.datagramPorts?.includes(ref.port) === true
    ? invalid(
        'UnsupportedProtocol',
        `the port ${ref.port} of the Service ${namespace}/${ref.name} is one of UDP`,
        remedy,
      )
    : invalid('BackendNotFound', `the Service ${namespace}/${ref.name} has no port ${ref.port}`, remedy);
}

function isGranted(ref: BackendRef, namespace: string, owner: HttpRoute, scope: Scope): boolean {
  return scope.snapshot.grants.some((grant) => {
    if (grant.meta.namespace !== namespace) return false;
    const isFrom = grant.spec.from.some(
      (from) =>
        from.group === 'gateway.networking.k8s.io' &&
        from.kind === 'HTTPRoute' &&
        from.namespace === owner.meta.namespace,
    );
    const isTo = grant.spec.to.some(
      (to) =>
        (to.group === '' || to.group === 'core') && to.kind === 'Service' && (to.name === '' || to.name === ref.name),
    );
    return isFrom && isTo;
  });
}

/** Every reference of a route that leads nowhere, as warnings at its place. */
export function checkBackends(route: HttpRoute, scope: Scope): readonly Problem[] {
  const problems: Problem[] = [];
  const check = (ref: BackendRef, path: string, effect: string): void => {
    const backend = resolveBackend(ref, route, scope);
    if (backend.kind === 'valid') return;
    const { message, remedy, fault } = backend;
    problems.push(unresolved(warning(path, `${message}; ${effect}`, remedy, route.source.locate(path)), fault));
  };
  for (const [ruleIndex, rule] of route.spec.rules.entries()) {
    for (const [index, backend] of rule.backends.entries())
      check(backend.ref, `spec.rules[${ruleIndex}].backendRefs[${index}]`, 'its share is answered with 500');
    for (const [index, filter] of rule.filters.entries()) {
      if (filter.kind === 'mirror')
        check(
          filter.backend,
          `spec.rules[${ruleIndex}].filters[${index}].requestMirror.backendRef`,
          'nothing is mirrored',
        );
    }
  }
  for (const [index, parent] of route.spec.parents.entries()) {
    if (parent.kind !== 'Service' || parent.group !== '') continue;
    const path = `spec.parentRefs[${index}]`;
    const namespace = parent.namespace === '' ? route.meta.namespace : parent.namespace;
    const service = scope.snapshot.services.get(`${parent.name}.${namespace}.svc.${scope.snapshot.domain}`);
    const warn = (message: string, remedy: string): void => {
      problems.push(unresolved(warning(path, message, remedy, route.source.locate(path)), 'NoMatchingParent'));
    };
    if (service === undefined)
      warn(`there is no Service ${namespace}/${parent.name} to attach to`, 'correct the name, or add the Service');
    else if (parent.port !== 0 && !service.ports.some((port) => port.number === parent.port))
      warn(
        `the Service ${parent.name} has no port ${parent.port}`,
        `write one of ${service.ports.map((port) => port.number).join(', ')}`,
      );
    else if (parent.sectionName !== '' && !service.ports.some((port) => port.name === parent.sectionName))
      warn(
        `the Service ${parent.name} has no port named ${parent.sectionName}`,
        `write one of ${service.ports.map((port) => port.name).join(', ')}`,
      );
  }
  return problems;
}

function invalid(fault: ReferenceFault, message: string, remedy: string): Backend {
  return { kind: 'invalid', fault, message, remedy };
}
