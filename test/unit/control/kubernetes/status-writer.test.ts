// What is written of the status of rules, and what waits.
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { silentLog } from '../../../../src/base/log.ts';
import type { RuleObject } from '../../../../src/control/kubernetes/rule-object.ts';
import { StatusWriter } from '../../../../src/control/kubernetes/status-writer.ts';
import { plainAccess } from '../../../../src/kube/access.ts';
import { KubeClient } from '../../../../src/kube/client.ts';
import { until } from '../../../support/until.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const KIND = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'VirtualService',
  plural: 'virtualservices',
  isNamespaced: true,
};

const rule = (name: string): RuleObject => ({
  kind: KIND,
  file: `kubernetes:VirtualService/shop/${name}`,
  namespace: 'shop',
  name,
  uid: name,
  resourceVersion: '1',
  generation: 1,
  conditions: [],
  hasReferences: false,
  parentRefs: [],
  parents: [],
});

test('rules whose status cannot be written do not keep others waiting, and are tried ever more rarely', async () => {
  const paths: string[] = [];
  const client = {
    applyStatus: (_: unknown, draft: { readonly metadata: { readonly name: string } }) => {
      const { name } = draft.metadata;
      paths.push(name);
      const failure = { status: 404, reason: 'NotFound', message: '', causes: [], retryAfterMs: 0 };
      return Promise.resolve(
        name === 'good' ? { kind: 'done', value: { metadata: { resourceVersion: '1' } } } : { kind: 'failed', failure },
      );
    },
  };
  const rules = [...Array.from({ length: 60 }, (_, index) => rule(`bad${index}`)), rule('good')];
  const writer = new StatusWriter({
    client: Object.assign(new KubeClient({ access: plainAccess({ url: 'http://127.0.0.1:1' }) }), client),
    instance: 'test',
    rules: () => rules,
    problems: () => [],
    progress: () => () => ({ synced: 0, connected: 0 }),
    log: silentLog,
    clock: systemClock,
    lookMs: 5,
  });
  cleanups.push(async () => await writer.stop());
  writer.start();
  await until('the good one', () => paths.includes('good'));
  await new Promise((resume) => setTimeout(resume, 300));
  expect(paths.filter((name) => name === 'bad0')).toHaveLength(1);
});

test('a status is written once, also while the watch is behind, and not at all when it says what it should', async () => {
  let written = 0;
  let known = rule('web');
  const client = {
    applyStatus: () => {
      written += 1;
      return Promise.resolve({ kind: 'done', value: { metadata: { resourceVersion: '2' } } });
    },
  };
  const writer = new StatusWriter({
    client: Object.assign(new KubeClient({ access: plainAccess({ url: 'http://127.0.0.1:1' }) }), client),
    instance: 'test',
    rules: () => [known],
    problems: () => [],
    progress: () => () => ({ synced: 0, connected: 0 }),
    log: silentLog,
    clock: systemClock,
    lookMs: 2,
  });
  cleanups.push(async () => await writer.stop());
  writer.start();
  await until('the first', () => written === 1);
  await new Promise((resume) => setTimeout(resume, 50));
  expect(written).toBe(1);
  // The watch brings another change, and the status is not there: it is written again.
  known = { ...known, resourceVersion: '3' };
  await until('the second', () => written === 2);
  const same = { observedGeneration: 1, lastTransitionTime: 'then' };
  const conditions = [
    { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', ...same },
    { type: 'Programmed', status: 'True', reason: 'Programmed', message: '0 of 0 proxies have it', ...same },
  ] as const;
  known = { ...known, resourceVersion: '4', conditions };
  await new Promise((resume) => setTimeout(resume, 50));
  expect(written).toBe(2);
});
