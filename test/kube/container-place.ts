// Where a container of a pod runs, in tests: in the network namespace of its pod and a mount namespace of its own, as the
// user, with the capabilities, environment and mounts that its spec says. The root is the host's, read-only where the
// spec wants it so; /run is empty but for mounts.
import { numberOf, recordOf, textsOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { APP_UID, type Pod } from '../support/pod.ts';

export interface Mount {
  readonly from: string;
  readonly to: string;
}

export interface ContainerPlace {
  readonly pod: Pod;
  readonly container: JsonRecord;
  readonly env: ReadonlyMap<string, string>;
  /** Under /run or /var/run; a file where `from` is one. */
  readonly mounts: readonly Mount[];
  /** The file that is its /etc/hosts. */
  readonly hosts: string;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** NODE_CHANNEL_FD is how an agent of a test talks to it; everything else of the environment stays outside. */
const SCRIPT = `
set -e
hosts=$1 readonly=$2 user=$3 mounts=$4
shift 4
mount --bind "$hosts" /etc/hosts
mount -t tmpfs -o mode=755 tmpfs /run
while [ "$mounts" -gt 0 ]; do
  mkdir -p "$2"
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
  shift 2
  mounts=$((mounts - 1))
done
[ "$readonly" = false ] || mount -o remount,bind,ro /
cd /
exec setpriv $user -- env -i PATH=${PATH} \${NODE_CHANNEL_FD:+NODE_CHANNEL_FD="$NODE_CHANNEL_FD"} "$@"
`;

/** Arguments of `ip` that run the command there. */
export function placedCommand(place: ContainerPlace, command: readonly string[]): readonly string[] {
  const { pod, container, env, mounts, hosts } = place;
  const context = recordOf(container['securityContext']);
  return [
    'netns',
    'exec',
    pod.namespace,
    'sh',
    '-c',
    SCRIPT,
    'container',
    hosts,
    String(context['readOnlyRootFilesystem'] === true),
    userOf(context).join(' '),
    String(mounts.length),
    ...mounts.flatMap(({ from, to }) => [from, to]),
    ...[...env].map(([name, value]) => `${name}=${value}`),
    ...command,
  ];
}

/** Arguments of setpriv. A container without capabilities of its own has none here: no app of a test needs any. */
function userOf(context: JsonRecord): readonly string[] {
  const uid = typeof context['runAsUser'] === 'number' ? context['runAsUser'] : APP_UID;
  const gid = numberOf(context['runAsGroup']) || uid;
  const added = textsOf(recordOf(context['capabilities'])['add']).map((name) => `+${name.toLowerCase()}`);
  const bounded = ['-all', ...added].join(',');
  const privileges = context['allowPrivilegeEscalation'] === false ? ['--no-new-privs'] : [];
  return ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--bounding-set', bounded, ...privileges];
}
