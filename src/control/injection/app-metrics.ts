// Who scrapes a pod gets one page with the app's metrics and the sidecar's: the annotations of Prometheus are turned to the
// sidecar's port, and what they were is told to the sidecar (Istio's ISTIO_PROMETHEUS_ANNOTATIONS). An app that does not
// want to be scraped is left alone, and its sidecar with it.
import { STATUS_PORT } from './containers.ts';

const PAGE = '/stats/prometheus';
/** Istio's three spellings; what is written is the first. */
const PREFIXES = ['prometheus.io/', 'prometheus.io.', 'prometheus-io/'];

export interface MergedMetrics {
  /** To be set on the pod. */
  readonly annotations: Readonly<Record<string, string>>;
  /** What the sidecar must know of the app, as JSON; empty: nothing is scraped there. */
  readonly scrape: string;
}

export function mergedMetrics(annotations: ReadonlyMap<string, string>): MergedMetrics {
  const find = (name: string): readonly [key: string, value: string] => {
    const key =
      PREFIXES.map((prefix) => `${prefix}${name}`).find((one) => annotations.has(one)) ?? `${PREFIXES[0]}${name}`;
    return [key, annotations.get(key) ?? ''];
  };
  const [scrapeKey, scrape] = find('scrape');
  const [portKey, port] = find('port');
  const [pathKey, path] = find('path');
  if (scrape !== 'true' && scrape !== '') return { annotations: {}, scrape: '' };
  const turned = { [scrapeKey]: 'true', [portKey]: String(STATUS_PORT), [pathKey]: PAGE };
  if (scrape === '' || port === String(STATUS_PORT)) return { annotations: turned, scrape: '' };
  return { annotations: turned, scrape: JSON.stringify({ scrape, path, port }) };
}
