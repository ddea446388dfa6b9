// The CNI plugin's place in a release: a DaemonSet that puts it on every node, and what it may do. It is in kube-system, where
// plugins of nodes are: folders of the node are allowed in no namespace that is restricted, as ours is.
import type { JsonObject } from '@bufbuild/protobuf';
import { imageOf } from './control-workload.ts';
import { labelsOf, releaseObject, type Release, type ReleaseObject } from './release.ts';

const NODE_PLUGIN = 'outrigger-cni';
const COMPONENT = 'cni';
const RBAC = 'rbac.authorization.k8s.io';
const READINESS_PORT = 15_021;
/** Where folders of the node are mounted, under their own names. */
const ROOT = '/host';

export function nodePlugin(release: Release): readonly ReleaseObject[] {
  const { namespace } = release.values.cni;
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', name: NODE_PLUGIN, component: COMPONENT };
  const role = { apiVersion: `${RBAC}/v1`, name: NODE_PLUGIN, component: COMPONENT };
  const subjects = [{ kind: 'ServiceAccount', name: NODE_PLUGIN, namespace }];
  const daemonSets = { apiGroups: ['apps'], resources: ['daemonsets'], resourceNames: [NODE_PLUGIN], verbs: ['get'] };
  const pods = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };
  // Everything of it is in the namespace of the node's plugins.
  const there = { ...release, namespace };
  return [
    releaseObject(there, account, {}),
    releaseObject(there, { ...role, kind: 'ClusterRole', isClusterWide: true }, { rules: [pods] }),
    releaseObject(
      there,
      { ...role, kind: 'ClusterRoleBinding', isClusterWide: true },
      { roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: NODE_PLUGIN }, subjects },
    ),
    // Whether it goes on decides what becomes of the plugin when a pod of it ends.
    releaseObject(there, { ...role, kind: 'Role' }, { rules: [daemonSets] }),
    releaseObject(
      there,
      { ...role, kind: 'RoleBinding' },
      { roleRef: { apiGroup: RBAC, kind: 'Role', name: NODE_PLUGIN }, subjects },
    ),
    daemonSet(there),
  ];
}

function daemonSet(release: Release): ReleaseObject {
  const matchLabels = { 'app.kubernetes.io/name': 'outrigger', 'app.kubernetes.io/component': COMPONENT };
  return releaseObject(
    release,
    { apiVersion: 'apps/v1', kind: 'DaemonSet', name: NODE_PLUGIN, component: COMPONENT },
    {
      spec: {
        revisionHistoryLimit: 5,
        selector: { matchLabels },
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
        template: {
          metadata: { labels: { ...labelsOf(release, COMPONENT), 'sidecar.istio.io/inject': 'false' } },
          spec: podSpec(release),
        },
      },
    },
  );
}

function podSpec(release: Release): JsonObject {
  const { image, cni } = release.values;
  const folders = [
    { name: 'binaries', path: cni.binDir },
    { name: 'networks', path: cni.netDir },
    { name: 'home', path: cni.homeDir },
  ];
  return {
    serviceAccountName: NODE_PLUGIN,
    // Nodes are not ready for others before their network is, and this is part of it.
    priorityClassName: 'system-node-critical',
    tolerations: [{ operator: 'Exists' }],
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    securityContext: { runAsUser: 0, runAsGroup: 0, seccompProfile: { type: 'RuntimeDefault' } },
    terminationGracePeriodSeconds: 10,
    ...(image.pullSecrets.length === 0 ? {} : { imagePullSecrets: image.pullSecrets.map((name) => ({ name })) }),
    containers: [
      {
        name: 'install',
        image: imageOf(release),
        imagePullPolicy: image.pullPolicy,
        args: [
          'cni',
          'install',
          `--root=${ROOT}`,
          `--bin-dir=${cni.binDir}`,
          `--net-dir=${cni.netDir}`,
          `--home-dir=${cni.homeDir}`,
          '--image=/',
          `--exclude-namespaces=${cni.excludeNamespaces.join(',')}`,
          `--daemon-set=${cni.namespace}/${NODE_PLUGIN}`,
          `--readiness=${READINESS_PORT}`,
        ],
        readinessProbe: { httpGet: { path: '/readyz', port: READINESS_PORT }, periodSeconds: 5 },
        resources: { requests: { cpu: '10m', memory: '96Mi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'], add: ['DAC_OVERRIDE'] },
        },
        volumeMounts: folders.map(({ name, path }) => ({ name, mountPath: `${ROOT}${path}` })),
      },
    ],
    volumes: folders.map(({ name, path }) => ({ name, hostPath: { path, type: 'DirectoryOrCreate' } })),
  };
}
