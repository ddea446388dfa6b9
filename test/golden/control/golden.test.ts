// Runs every golden file of this folder: comments on top say what is shown and for whom, then rules, then
// after the line of `=` what comes out. OUTRIGGER_UPDATE_GOLDEN=1 writes what comes out into the files.
//
//   # show: vhost reviews          vhost|table|cluster|endpoints|listener|jwt NAME (a part of the name), or problems, or names,
//                                or filter NAME: its configurations wherever it stands
//   # for: frontend.default v1     service[.namespace] and version; `app: 9080/http`; `as: envoy`; `base: none`;
//                                `locality: r/z/s`; `meshed: true`; `mode: redirect` and `address: 10.0.0.1` for a captured pod
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { formatProblem } from '../../../src/base/problem.ts';
import { offlineNode, printedView, translateFiles } from '../../../src/control/offline.ts';
import type { PrintedView } from '../../../src/control/offline.ts';

const HERE = import.meta.dirname;
const SEPARATOR = `#${'='.repeat(40)}\n`;
const isUpdate = process.env['OUTRIGGER_UPDATE_GOLDEN'] === '1';
const base = readFileSync(join(HERE, '_shop.yaml'), 'utf8');
const cases = readdirSync(HERE).filter((name) => name.endsWith('.yaml') && !name.startsWith('_'));

test.each(cases)('%s', (name) => {
  const file = join(HERE, name);
  const [input = '', expected = ''] = readFileSync(file, 'utf8').split(SEPARATOR);
  const printed = run(input);
  if (isUpdate) writeFileSync(file, `${input}${SEPARATOR}${printed}`);
  else expect(printed, basename(file)).toBe(expected);
});

function run(input: string): string {
  const [show = 'problems', wanted = ''] = setting(input, 'show').split(' ');
  const [service = 'frontend', version = ''] = (setting(input, 'for') || 'frontend').split(' ');
  const app = setting(input, 'app');
  const files = [{ file: 'rules.yaml', text: input }];
  if (setting(input, 'base') !== 'none') files.push({ file: 'shop.yaml', text: base });
  const { problems, viewOf } = translateFiles(files);
  if (show === 'problems')
    return problems.map((problem) => `${problem.severity}: ${formatProblem(problem)}\n`).join('');
  const node = offlineNode({
    service,
    version,
    apps: app === '' ? [] : [app],
    isEnvoy: setting(input, 'as') === 'envoy',
    mode: setting(input, 'mode') === 'redirect' ? 'redirect' : 'explicit',
    address: setting(input, 'address') || '127.0.0.1',
    locality: setting(input, 'locality'),
    isMeshed: setting(input, 'meshed') === 'true',
  });
  if (typeof node === 'string') return `${node}\n`;
  return stringify(select(printedView(viewOf(node)), show, wanted), { lineWidth: 0, aliasDuplicateObjects: false });
}

function setting(input: string, name: string): string {
  return new RegExp(`^# ${name}: (.*)$`, 'm').exec(input)?.[1]?.trim() ?? '';
}

function select(view: PrintedView, show: string, wanted: string): unknown {
  const hosts = view.routes.flatMap((table) => listOf(table, 'virtual_hosts'));
  switch (show) {
    case 'vhost':
      return hosts
        .filter((host) => textOf(host, 'name').startsWith(wanted))
        .map((host) => ({ name: textOf(host, 'name'), routes: listOf(host, 'routes') }));
    case 'table':
      return view.routes.filter((table) => textOf(table, 'name').startsWith(wanted));
    case 'domains':
      return hosts
        .filter((host) => textOf(host, 'name').startsWith(wanted))
        .map((host) => ({ [textOf(host, 'name')]: listOf(host, 'domains') }));
    case 'cluster':
      return view.clusters.filter((cluster) => textOf(cluster, 'name').includes(wanted));
    case 'endpoints':
      return view.endpoints.filter((assignment) => textOf(assignment, 'cluster_name').includes(wanted));
    case 'listener':
      return view.listeners.filter((listener) => textOf(listener, 'name').startsWith(wanted));
    case 'jwt':
      return view.listeners
        .filter((listener) => textOf(listener, 'name').startsWith(wanted))
        .map((listener) => ({ [textOf(listener, 'name')]: found(listener, 'envoy.filters.http.jwt_authn') }));
    case 'filter':
      return view.listeners.map((listener) => ({ [textOf(listener, 'name')]: found(listener, wanted) }));
    case 'names':
      return {
        listeners: names(view.listeners),
        ...(view.routes.length === 1 ? {} : { tables: names(view.routes) }),
        routes: hosts.map((host) => textOf(host, 'name')),
        clusters: names(view.clusters),
      };
    default:
      throw new Error(`show: ${show}`);
  }
}

/** The configurations of all HTTP filters of this name, wherever they stand. */
function found(value: unknown, name: string): readonly unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  if (textOf(value, 'name') === name) return [field(value, 'typed_config')];
  return Object.values(value).flatMap((inner) => found(inner, name));
}

function names(resources: readonly unknown[]): readonly string[] {
  return resources.map((resource) => textOf(resource, 'name'));
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

function textOf(value: unknown, name: string): string {
  const text = field(value, name);
  return typeof text === 'string' ? text : '';
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = field(value, name);
  return Array.isArray(list) ? list : [];
}
