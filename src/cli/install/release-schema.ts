// What may be set in an installation, as JSON Schema (draft 7): the chart's values.schema.json is written from it, and
// `outrigger install` reads its values by it. Nothing outside of it is taken: a misspelled value would otherwise be
// a setting that silently does not hold.
import type { JsonObject } from '@bufbuild/protobuf';

export function releaseSchema(): JsonObject {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of Outrigger',
    ...section('Values of Outrigger.', {
      image: section('The image of the control service, and of sidecars.', {
        repository: text('Registry and name.', { minLength: 1 }),
        tag: text('Version; a digest is written `@sha256:…`.', { minLength: 1 }),
        pullPolicy: choice('When it is fetched.', ['Always', 'IfNotPresent', 'Never']),
        pullSecrets: list('Names of Secrets with credentials of the registry.', { type: 'string' }),
      }),
      sidecar: section('What is put into pods.', {
        mode: choice('How their traffic gets to it.', ['redirect', 'explicit', 'cni']),
        classic: flag('As a plain container.'),
      }),
      replicas: count('Control services, while autoscaling is off.', 1, 100),
      logLevel: choice('Of the control service.', ['debug', 'info', 'warning', 'error', 'off']),
      domain: text('The domain of services.', { minLength: 1 }),
      trustDomain: text('Of identities.', { minLength: 1, pattern: '^[a-z0-9._-]+$' }),
      mesh: open('MeshConfig, the ConfigMap `istio`.'),
      extraArguments: list('Further flags of `outrigger control`.', { type: 'string' }),
      resources: section('Of the control service.', {
        requests: open('What is set aside for it.'),
        limits: open('What it may take.'),
      }),
      autoscaling: section('HorizontalPodAutoscaler.', {
        enabled: flag('Whether there is one.'),
        minReplicas: count('At least.', 1, 100),
        maxReplicas: count('At most.', 1, 100),
        cpuPercent: count('Average use of the requested CPU that is aimed at.', 1, 100),
      }),
      podDisruptionBudget: section('Of the control service.', {
        enabled: flag('Whether there is one.'),
        maxUnavailable: count('Pods that may be away at a time.', 1, 100),
      }),
      networkPolicy: section('Which ports of the control service can be reached.', {
        enabled: flag('Whether there is one.'),
      }),
      serviceMonitor: section('For the Prometheus operator, whose definitions must be there.', {
        enabled: flag('Whether there is one.'),
        interval: text('Between scrapes.', { pattern: '^[0-9]+(ms|s|m|h)$' }),
        labels: texts('By which the operator finds it.'),
      }),
      injector: section('Who adds sidecars to pods.', {
        enabled: flag('Whether there is one.'),
        failurePolicy: choice('When it cannot be reached: Fail keeps pods of the mesh waiting.', ['Fail', 'Ignore']),
        revision: text('Namespaces and pods with this label `istio.io/rev` are meant, too.', { minLength: 1 }),
      }),
      validator: section('Who refuses broken rules.', {
        enabled: flag('Whether there is one.'),
        failurePolicy: choice('Until the control service has proven itself, which makes it Fail.', ['Fail', 'Ignore']),
      }),
      definitions: section('Of our kinds (CustomResourceDefinitions).', {
        enabled: flag('Whether they are brought along.'),
        keep: flag('Whether `helm uninstall` leaves them, and with them all rules.'),
      }),
      cni: nodePlugin(),
      podLabels: texts('Of the pods of the control service, besides ours.'),
      podAnnotations: texts('Of the pods of the control service, besides ours.'),
      nodeSelector: texts('Nodes that its pods run on.'),
      tolerations: list('Taints that its pods bear.', { type: 'object' }),
      affinity: open('Of its pods.'),
      priorityClassName: text('Of its pods; empty: none.', {}),
    }),
  };
}

function nodePlugin(): JsonObject {
  return section('The plugin of the nodes that redirects pods in the mode cni.', {
    enabled: flag('Whether a DaemonSet puts it on every node.'),
    namespace: text('Of the DaemonSet; it mounts folders of nodes.', { minLength: 1 }),
    binDir: text('Where container runtimes look for plugins.', { pattern: '^/' }),
    netDir: text('Where networks are configured.', { pattern: '^/' }),
    homeDir: text('Where copies of the image are put.', { pattern: '^/' }),
    excludeNamespaces: list('Whose pods are left alone without a question.', { type: 'string' }),
  });
}

function section(description: string, properties: JsonObject): JsonObject {
  return { type: 'object', description, additionalProperties: false, properties };
}

function text(description: string, rest: JsonObject): JsonObject {
  return { type: 'string', description, ...rest };
}

function choice(description: string, names: readonly string[]): JsonObject {
  return { type: 'string', description, enum: [...names] };
}

function flag(description: string): JsonObject {
  return { type: 'boolean', description };
}

function count(description: string, minimum: number, maximum: number): JsonObject {
  return { type: 'integer', description, minimum, maximum };
}

function list(description: string, items: JsonObject): JsonObject {
  return { type: 'array', description, items };
}

function open(description: string): JsonObject {
  return { type: 'object', description };
}

function texts(description: string): JsonObject {
  return { type: 'object', description, additionalProperties: { type: 'string' } };
}
