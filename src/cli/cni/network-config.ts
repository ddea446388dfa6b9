// What a container runtime gives a CNI plugin (CNI spec 1.1, section 2): the operation and the place in the environment, the
// configuration with the result of the plugins before us on standard input. Read wholly before anything is done.
import { isJsonRecord, recordOf, textOf, textsOf, type JsonRecord } from '../../kube/json-record.ts';

const OPERATIONS = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION'] as const;
export type CniOperation = (typeof OPERATIONS)[number];

export const CNI_VERSIONS: readonly string[] = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const LATEST = '1.1.0';

/** Well-known codes of section "Error"; 100 and above are ours. */
export const CNI_CODES = {
  version: 1,
  environment: 4,
  io: 5,
  decoding: 6,
  config: 7,
  tryLater: 11,
  redirect: 100,
} as const;

export class CniFault extends Error {
  override readonly name = 'CniFault';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface CniCall {
  readonly operation: CniOperation;
  readonly cniVersion: string;
  /** The path of the network namespace; empty where there is none (DEL may come late). */
  readonly netns: string;
  /** Empty: it is no pod of Kubernetes. */
  readonly pod: { readonly namespace: string; readonly name: string };
  readonly kubeconfig: string;
  readonly excludedNamespaces: readonly string[];
  /** Of the plugins before us; null: none. */
  readonly previous: JsonRecord | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws CniFault. */
export function readCniCall(environment: Environment, input: string): CniCall {
  const operation = OPERATIONS.find((known) => known === environment['CNI_COMMAND']);
  if (operation === undefined)
    throw new CniFault(CNI_CODES.environment, `CNI_COMMAND is not one of ${OPERATIONS.join(', ')}`);
  const config = parsed(input);
  const cniVersion = textOf(config['cniVersion']) || (operation === 'VERSION' ? LATEST : '0.1.0');
  if (operation !== 'VERSION' && !CNI_VERSIONS.includes(cniVersion))
    throw new CniFault(CNI_CODES.version, `cniVersion ${cniVersion} is not one of ${CNI_VERSIONS.join(', ')}`);
  const netns = environment['CNI_NETNS'] ?? '';
  if (netns === '' && (operation === 'ADD' || operation === 'CHECK'))
    throw new CniFault(CNI_CODES.environment, 'CNI_NETNS is missing');
  const previous = config['prevResult'];
  if (!isJsonRecord(previous) && (operation === 'ADD' || operation === 'CHECK'))
    throw new CniFault(CNI_CODES.config, 'prevResult is missing: this plugin comes after one that makes a network');
  const given = argumentsOf(environment['CNI_ARGS'] ?? '');
  return {
    operation,
    cniVersion,
    netns,
    pod: { namespace: given.get('K8S_POD_NAMESPACE') ?? '', name: given.get('K8S_POD_NAME') ?? '' },
    kubeconfig: textOf(config['kubeconfig']),
    excludedNamespaces: textsOf(config['excludeNamespaces']),
    previous: isJsonRecord(previous) ? previous : null,
  };
}

function parsed(input: string): JsonRecord {
  if (input.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(input);
  } catch {
    throw new CniFault(CNI_CODES.decoding, 'the configuration on standard input is no JSON');
  }
  return recordOf(value);
}

/** `A=1;B=2` */
function argumentsOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(';').map((pair): [string, string] => {
      const at = pair.indexOf('=');
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** What VERSION answers. */
export function versionAnswer(cniVersion: string): JsonRecord {
  return { cniVersion: CNI_VERSIONS.includes(cniVersion) ? cniVersion : LATEST, supportedVersions: CNI_VERSIONS };
}
