// What the labels and annotations of a pod ask of injection: Istio's names, and the same names under `outrigger.dev/`,
// which win. A value that cannot be is an error: a wrong range would let traffic past the sidecar.
import { LOG_LEVELS } from '../../base/log.ts';
import { ListReader } from './redirect-list.ts';

export interface PodSettings {
  /** Null when the pod does not say. */
  readonly isWanted: boolean | null;
  readonly isCaptured: boolean;
  /** Null when the pod does not say. */
  readonly isNative: boolean | null;
  /** Empty when the pod does not say. */
  readonly image: string;
  readonly resources: Readonly<Record<'requests' | 'limits', Readonly<Record<string, string>>>>;
  /** Empty when the pod does not say. */
  readonly logLevel: string;
  /** 0 is none. */
  readonly readinessPort: number;
  readonly probe: ReadonlyMap<string, number>;
  /** Flags of `outrigger redirect install`, by name. */
  readonly redirect: ReadonlyMap<string, string>;
}

export interface ServingSettings {
  /** The sidecar answers the probes of the app. */
  readonly isProbed: boolean;
  /** The sidecar's page of metrics has the app's. */
  readonly isMerged: boolean;
}

export interface SettingFault {
  /** The label or annotation. */
  readonly name: string;
  readonly message: string;
  readonly remedy: string;
}

const OWN = 'outrigger.dev';
/** Groups of names whose every setting is meant for a sidecar: one that is not read is told. */
const GROUPS = [
  OWN,
  'sidecar.istio.io',
  'proxy.istio.io',
  'inject.istio.io',
  'traffic.sidecar.istio.io',
  'status.sidecar.istio.io',
  'readiness.status.sidecar.istio.io',
];
/** What injectors write, and who reads it is not the sidecar. */
const MARKS = [`${OWN}/status`, 'sidecar.istio.io/status'];
const READINESS_PORT = 15_021;
const QUANTITY = /^\d+(?:\.\d+)?(?:m|k|Ki|M|Mi|G|Gi|T|Ti|e\d+)?$/;

/** Ports of the sidecar itself, which nobody has to exclude. */
const OWN_PORTS = [15_020, 15_021, 15_022, 15_090];

/** The annotations of traffic, the flag of the redirect that each becomes, and how that reads it. */
const TRAFFIC: readonly (readonly [string, string, (reader: ListReader, name: string, text: string) => unknown])[] = [
  ['includeInboundPorts', 'inbound-ports', (reader, name, text) => reader.portChoice(name, text)],
  ['excludeInboundPorts', 'exclude-inbound-ports', (reader, name, text) => reader.ports(name, text)],
  ['includeOutboundPorts', 'outbound-ports', (reader, name, text) => reader.ports(name, text)],
  ['excludeOutboundPorts', 'exclude-outbound-ports', (reader, name, text) => reader.ports(name, text)],
  ['includeOutboundIPRanges', 'outbound-ip-ranges', (reader, name, text) => reader.rangeChoice(name, text)],
  ['excludeOutboundIPRanges', 'exclude-outbound-ip-ranges', (reader, name, text) => reader.ranges(name, text)],
  ['excludeInterfaces', 'exclude-interfaces', (reader, name, text) => reader.interfaces(name, text)],
];

const PROBE = ['initialDelaySeconds', 'periodSeconds', 'failureThreshold'];

export class PodSettingsReader {
  readonly faults: SettingFault[] = [];
  readonly #values: ReadonlyMap<string, string>;
  readonly #read = new Set<string>(MARKS);

  /** `values` are labels and annotations of the pod, the labels first. */
  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  read(): PodSettings {
    const inject = this.#choice('sidecar.istio.io', 'inject', ['true', 'false']);
    const native = this.#choice('sidecar.istio.io', 'nativeSidecar', ['true', 'false']);
    const readinessPort = this.#number('status.sidecar.istio.io', 'port', 65_535) ?? READINESS_PORT;
    const interception = this.#choice('sidecar.istio.io', 'interceptionMode', ['REDIRECT', 'TPROXY', 'NONE']);
    return {
      isWanted: inject === 'true' ? true : inject === 'false' ? false : null,
      isCaptured: interception !== 'NONE',
      isNative: native === '' ? null : native === 'true',
      image: this.#text('sidecar.istio.io', 'proxyImage'),
      resources: {
        requests: { cpu: this.#quantity('proxyCPU', '100m'), memory: this.#quantity('proxyMemory', '128Mi') },
        limits: { cpu: this.#quantity('proxyCPULimit', '2'), memory: this.#quantity('proxyMemoryLimit', '1Gi') },
      },
      logLevel: this.#choice('sidecar.istio.io', 'logLevel', [...LOG_LEVELS, 'warn']),
      readinessPort,
      probe: this.#probe(),
      redirect: this.#traffic(readinessPort),
    };
  }

  /** After `read`: what the pod asks of a sidecar and injection does not follow. */
  unread(): readonly string[] {
    const names = [...this.#values.keys()].filter((name) => GROUPS.includes(name.split('/')[0] ?? ''));
    return names.filter((name) => !this.#read.has(name));
  }

  /** What a webhook follows besides, and a text filter cannot: it would have to change what the app's author wrote. */
  readServing(): ServingSettings {
    return {
      isProbed: this.#choice('sidecar.istio.io', 'rewriteAppHTTPProbers', ['true', 'false']) !== 'false',
      isMerged: this.#choice('prometheus.istio.io', 'merge-metrics', ['true', 'false']) !== 'false',
    };
  }

  #probe(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const name of PROBE) {
      const value = this.#number('readiness.status.sidecar.istio.io', name, 86_400);
      if (value !== null) found.set(name, value);
    }
    return found;
  }

  #traffic(readinessPort: number): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const [name, flag, read] of TRAFFIC) {
      const [key, text] = this.#find('traffic.sidecar.istio.io', name);
      if (key === '') continue;
      const reader = new ListReader();
      read(reader, name, text);
      for (const mistake of reader.mistakes) {
        const [message = '', remedy = ''] = mistake.slice(`--${name}: `.length).split('; ');
        this.#fault(key, message, remedy);
      }
      found.set(flag, text.replaceAll(/\s/g, ''));
    }
    const excluded = found.get('exclude-inbound-ports') ?? '';
    const isOwn = readinessPort === 0 || OWN_PORTS.includes(readinessPort);
    const own = isOwn ? OWN_PORTS : [...OWN_PORTS, readinessPort];
    // The flag replaces the ports that are excluded unless it is given.
    if (excluded !== '') found.set('exclude-inbound-ports', `${own.join(',')},${excluded}`);
    else if (!isOwn) found.set('exclude-inbound-ports', own.join(','));
    return found;
  }

  #text(group: string, name: string): string {
    return this.#find(group, name)[1];
  }

  #quantity(name: string, fallback: string): string {
    const [key, text] = this.#find('sidecar.istio.io', name);
    if (text !== '' && !QUANTITY.test(text))
      this.#fault(key, `"${text}" is not a quantity`, 'write one like 100m or 128Mi');
    return text === '' ? fallback : text;
  }

  #choice(group: string, name: string, choices: readonly string[]): string {
    const [key, text] = this.#find(group, name);
    if (text !== '' && !choices.includes(text))
      this.#fault(key, `"${text}" is not one of its values`, `write one of ${choices.join(', ')}`);
    return text;
  }

  #number(group: string, name: string, max: number): number | null {
    const [key, text] = this.#find(group, name);
    if (text === '') return null;
    const value = Number(text);
    if (/^\d+$/.test(text) && value <= max) return value;
    this.#fault(key, `"${text}" is not a number from 0 to ${max}`, 'write digits between quotes');
    return null;
  }

  /** The key and the text; both empty when it is not there. */
  #find(group: string, name: string): readonly [string, string] {
    const keys = [`${OWN}/${name}`, `${group}/${name}`];
    for (const key of keys) this.#read.add(key);
    for (const key of keys) {
      const text = this.#values.get(key);
      if (text !== undefined) return [key, text];
    }
    return ['', ''];
  }

  #fault(name: string, message: string, remedy: string): void {
    this.faults.push({ name, message, remedy });
  }
}
