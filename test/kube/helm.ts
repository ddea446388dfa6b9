// The real helm, for tests: as a process, with settings of its own, on the project's chart.
import { join } from 'node:path';
import { startChild } from '../support/child.ts';
import { PROJECT_ROOT, realPart } from '../support/real-parts.ts';

export const CHART = join(PROJECT_ROOT, 'deploy/chart');

export interface HelmRan {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `folder` holds its cache and its settings. */
export async function helm(folder: string, ...args: readonly string[]): Promise<HelmRan> {
  const env = {
    HELM_CACHE_HOME: join(folder, 'helm-cache'),
    HELM_CONFIG_HOME: join(folder, 'helm-config'),
    HELM_DATA_HOME: join(folder, 'helm-data'),
    KUBECONFIG: join(folder, 'kubeconfig'),
  };
  const child = startChild(realPart('helm'), args, { env });
  const code = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}
