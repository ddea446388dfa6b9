// Extension (outrigger.dev/v1alpha1): a module in TypeScript that the sidecars of the chosen workloads run for each
// request, with its configuration. The module itself stays where sidecars find it; its digest says which one is meant.
// What is unknown here is refused: somebody counts on it.
import type { Fields } from './fields.ts';
import { isJsonObject, type JsonFields } from './json-value.ts';
import { readPositiveMs } from './positive-duration.ts';
import { readWorkloadSelector, type WorkloadSelector } from './workload-selector.ts';

export interface ExtensionSpec {
  readonly selector: WorkloadSelector;
  readonly module: string;
  /** `sha256:` and 64 digits; empty for modules of ours. */
  readonly digest: string;
  readonly config: JsonFields;
  readonly direction: 'Inbound' | 'Outbound' | 'Both';
  readonly failurePolicy: 'FailClosed' | 'FailOpen';
  /** Null: the sidecar's default, 10 ms. */
  readonly timeBudgetMs: number | null;
  /** Higher comes first; 0 by default. */
  readonly priority: number;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** Modules that are a part of the sidecar. */
const OWN_PREFIX = 'outrigger/';
export const BUDGET_MS_MAX = 1000;
export const PRIORITY_MAX = 1_000_000;

export function readExtensionSpec(fields: Fields): ExtensionSpec {
  fields.refuseUnknown();
  const selector = readWorkloadSelector(fields);
  const module = fields.requiredText('module', 'write the name of a file of --extensions, without its ending');
  const timeBudgetMs = readPositiveMs(fields, 'timeBudget');
  if (timeBudgetMs !== null && timeBudgetMs > BUDGET_MS_MAX)
    fields.error('timeBudget', 'is longer than 1s', 'a request waits for the extension: write 1s at most');
  return {
    selector,
    module,
    digest: readDigest(fields, module),
    config: readConfig(fields),
    direction: fields.choice('direction', ['Inbound', 'Outbound', 'Both']) ?? 'Inbound',
    failurePolicy: fields.choice('failurePolicy', ['FailClosed', 'FailOpen']) ?? 'FailClosed',
    timeBudgetMs,
    priority: fields.integer('priority', { min: -PRIORITY_MAX, max: PRIORITY_MAX }) ?? 0,
  };
}

function readDigest(fields: Fields, module: string): string {
  const isOwn = module.startsWith(OWN_PREFIX);
  const digest = fields.text('digest');
  if (isOwn && digest !== '') fields.error('digest', `${module} is a part of the sidecar`, 'remove the digest');
  if (!isOwn && !DIGEST.test(digest))
    fields.error('digest', 'is no digest of the module', 'write sha256: and what sha256sum prints for the file');
  return digest;
}

function readConfig(fields: Fields): JsonFields {
  const config = fields.json('config') ?? {};
  if (isJsonObject(config)) return config;
  fields.error('config', 'must be an object', 'write "name: value" lines');
  return {};
}
