// Reads the flags of `outrigger sidecar` into values, or into what is wrong with them. Wrong usage is
// collected, not thrown: all of it is told at once, and the exit code is 64.
import { hostname } from 'node:os';
import type { LogLevel } from '../base/log.ts';
import type { ControlAddress } from '../sidecar/discovery.ts';
import { APP_PROTOCOLS, MESH_MODES, type AppPort, type MeshMode, type WorkloadIdentity } from '../sidecar/node.ts';
import type { DrainStrategy } from '../sidecar/proxy.ts';
import { FlagReader } from './flag-reader.ts';
import { readIdentity, type IdentitySettings } from './identity-flags.ts';
import type { SidecarFlags } from './sidecar.ts';

export interface CommonSettings {
  /** Ports of the readiness and metrics servers; null for none, 0 for a free one. */
  readonly readinessPort: number | null;
  readonly metricsPort: number | null;
  /** Of the port that speaks for the whole pod; null for none. */
  readonly statusPort: number | null;
  /** Of the pages for the control service; null for none. */
  readonly pagesPort: number | null;
  readonly drainSeconds: number;
  readonly drainDelaySeconds: number;
  readonly drainStrategy: DrainStrategy;
  /** Threads that serve traffic; 1: the only thread does. */
  readonly concurrency: number;
  /** The Unix socket on which sidecars replace each other; null for none. */
  readonly handoverPath: string | null;
  /** Where the identity is served by SDS; null: nowhere. */
  readonly sdsPath: string | null;
  readonly sdsMode: number;
  readonly logLevel: LogLevel;
  /** Folders and npm packages that extensions are loaded from. */
  readonly extensions: readonly string[];
}

export type SidecarSettings = CommonSettings &
  (
    | { readonly kind: 'file'; readonly file: string; readonly isValidation: boolean }
    | {
        readonly kind: 'join';
        readonly control: ControlAddress;
        /** The address is empty when it must be found out. */
        readonly workload: WorkloadIdentity;
        /** Null: none, and the control service is talked to in plaintext. */
        readonly identity: IdentitySettings | null;
        readonly adminPort: number;
      }
  );

const PORTS = [0, 65_535] as const;

/** The settings, or one sentence for each mistake. */
export function readFlags(flags: SidecarFlags): SidecarSettings | readonly string[] {
  const mistakes: string[] = [];
  const reader = new FlagReader(flags, mistakes);
  const common = {
    readinessPort: reader.has('readiness') ? reader.number('readiness', 0, PORTS) : null,
    metricsPort: reader.has('metrics') ? reader.number('metrics', 0, PORTS) : null,
    statusPort: reader.has('status') ? reader.number('status', 0, PORTS) : null,
    pagesPort: reader.has('pages') ? reader.number('pages', 1, [1, 65_535]) : null,
    drainSeconds: reader.number('drainSeconds', 5, [0, 3600]),
    drainDelaySeconds: reader.number('drainDelaySeconds', 1, [0, 3600]),
    drainStrategy: reader.strategy(),
    concurrency: reader.number('concurrency', 1, [1, 128]),
    handoverPath: reader.path('handover'),
    sdsPath: reader.path('sds'),
    sdsMode: reader.socketMode('sdsMode'),
    logLevel: reader.level(),
    extensions: reader.list('extensions'),
  };
  const settings = reader.has('configPath') ? readFileSettings(reader, common) : readJoin(reader, common);
  return mistakes.length > 0 ? mistakes : settings;
}

function readFileSettings(reader: FlagReader, common: CommonSettings): SidecarSettings {
  for (const name of ['control', 'service', 'sds'] as const) {
    if (reader.has(name))
      reader.mistakes.push(`--${name} and -c exclude each other: a bootstrap file says where to ask`);
  }
  return { ...common, kind: 'file', file: reader.text('configPath'), isValidation: reader.has('validate') };
}

function readJoin(reader: FlagReader, common: CommonSettings): SidecarSettings {
  const { mistakes } = reader;
  if (!reader.has('control')) mistakes.push('write -c FILE to run a bootstrap, or --control HOST:PORT to join a mesh');
  else if (!reader.has('service')) mistakes.push('--service NAME[.NAMESPACE] is missing: say whom this sidecar serves');
  if (reader.has('validate')) mistakes.push('--validate needs -c FILE');
  const [service = '', namespace = 'default'] = reader.text('service').split('.', 2);
  const workload: WorkloadIdentity = {
    service,
    namespace,
    version: reader.text('version'),
    labels: readLabels(reader),
    apps: readApps(reader),
    mode: readMode(reader),
    inboundPort: reader.number('inbound', 15_006, [1, 65_535]),
    outboundPort: reader.number('outbound', 15_001, [1, 65_535]),
    address: reader.text('address'),
    instance: `${hostname()}-${process.pid}`,
    serviceAccount: 'default',
    locality: readLocality(reader),
  };
  const control = reader.control();
  const identity = readIdentity(reader, control);
  if (identity === null && reader.has('sds'))
    mistakes.push('--sds needs --token-file FILE: there is no identity to serve');
  return {
    ...common,
    kind: 'join',
    control,
    identity,
    workload: { ...workload, isMeshed: identity !== null, serviceAccount: reader.text('serviceAccount') || 'default' },
    adminPort: reader.number('admin', 15_000, PORTS),
  };
}

function readMode(reader: FlagReader): MeshMode {
  const text = reader.text('mode') || 'explicit';
  const mode = MESH_MODES.find((known) => known === text);
  if (mode === undefined) reader.mistakes.push(`--mode: write ${MESH_MODES.join(' or ')}`);
  return mode ?? 'explicit';
}

/** From the region to the sub-zone, as much as is known. */
function readLocality(reader: FlagReader): string {
  const text = reader.text('locality');
  if (text !== '' && !/^[^/\s]+(?:\/[^/\s]+){0,2}$/.test(text)) {
    reader.mistakes.push(`--locality: ${JSON.stringify(text)} is not REGION[/ZONE[/SUBZONE]]`);
  }
  return text;
}

function readLabels(reader: FlagReader): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of reader.list('label')) {
    const at = text.indexOf('=');
    if (at < 1) reader.mistakes.push(`--label: ${JSON.stringify(text)} is not KEY=VALUE`);
    else labels[text.slice(0, at)] = text.slice(at + 1);
  }
  return labels;
}

function readApps(reader: FlagReader): AppPort[] {
  return reader.list('app').flatMap((text) => {
    const [digits = '', name = 'http'] = text.split('/', 2);
    const port = Number(digits);
    const protocol = APP_PROTOCOLS.find((known) => known === name);
    if (/^\d{1,5}$/.test(digits) && port >= 1 && port <= 65_535 && protocol !== undefined) return [{ port, protocol }];
    reader.mistakes.push(`--app: ${JSON.stringify(text)} is not PORT or PORT/${APP_PROTOCOLS.join('|')}`);
    return [];
  });
}
