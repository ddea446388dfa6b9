// The work of `outrigger describe`: asks the control service, and writes what it says for a person.
import { listOf, numberOf, recordOf, textOf, textsOf, type JsonRecord } from '../../kube/json-record.ts';
import type { DescribeFlags } from '../describe.ts';
import { PageSource } from './control-pages.ts';
import { isOutput, printData } from './output.ts';
import { safeText, tableText } from './text-table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

export async function runDescribe(service: string, { controlHttp, from, output }: DescribeFlags): Promise<number> {
  const pages = PageSource.at(controlHttp);
  if (pages === null) return wrong(`--control-http "${controlHttp}" is not host:port`, EXIT_USAGE);
  if (!isOutput(output)) return wrong(`"${output}" is not an output; write table, json or yaml`, EXIT_USAGE);
  if (!NAMESPACE.test(from)) return wrong(`--from "${from}" is not the name of a namespace`, EXIT_USAGE);
  const query = new URLSearchParams({ service, from });
  const page = await pages.json(`/debug/describe?${query.toString()}`);
  if (page.kind === 'failed') return wrong(page.message, EXIT_FAILED);
  const told = recordOf(page.value);
  const refusal = textOf(told['message']);
  if (refusal !== '') return wrong(refusal, EXIT_FAILED);
  if (output === 'table') process.stdout.write(textOfService(told));
  else printData(told, output);
  return 0;
}

function textOfService(told: JsonRecord): string {
  const { host, kind, resolution, place, from, isSeen } = told;
  const lines = [
    `${textOf(host)}: ${textOf(kind)}, ${textOf(resolution)}${textOf(place) === '' ? '' : `, ${textOf(place)}`}`,
  ];
  if (isSeen !== true)
    lines.push(`not seen from ${textOf(from)}: it is not exported there, or a Sidecar leaves it out`);
  const ports = listOf(told['ports']).map(recordOf);
  const table = tableText(
    ['PORT', 'PROTOCOL', 'INSTANCES', 'MESHED', 'ROUTED BY'],
    ports.map((port) => [
      `${numberOf(port['number'])}${textOf(port['name']) === '' ? '' : ` ${textOf(port['name'])}`}`,
      textOf(port['protocol']),
      `${numberOf(port['instances'])}`,
      `${numberOf(port['meshed'])}`,
      listOf(port['routes']).map(recordOf).map(nameOf).join(', ') || 'nobody: to all instances',
    ]),
  );
  const written = new Map(
    [...ports.flatMap((port) => listOf(port['routes'])), ...listOf(told['sending'])].map(recordOf).map((rule) => {
      return [nameOf(rule), rule] as const;
    }),
  );
  return [
    ...lines.map((line) => `${safeText(line)}\n`),
    '\n',
    table,
    ...section('Who calls it', [...written.values()]),
    ...listOf(told['instances']).map(recordOf).flatMap(instanceLines),
  ].join('');
}

function instanceLines(instance: JsonRecord): readonly string[] {
  const { workloads, labels, accounts, mutualTls, rules } = instance;
  const pairs = Object.entries(recordOf(labels)).map(([name, value]) => `${name}=${textOf(value)}`);
  const names = textsOf(workloads).filter(Boolean);
  const modes = Object.entries(recordOf(mutualTls)).map(([port, mode]) => `${port} ${textOf(mode)}`);
  const facts = [
    `labels ${pairs.join(',') || 'none'}`,
    ...(textsOf(accounts).length === 0 ? [] : [`account ${textsOf(accounts).join(', ')}`]),
    ...(modes.length === 0 ? [] : [`mutual TLS ${modes.join(', ')}`]),
  ];
  const title = `Instances ${names.length === 0 ? '' : names.join(', ')}`.trimEnd();
  return [...section(title, listOf(rules).map(recordOf), facts)];
}

function section(title: string, rules: readonly JsonRecord[], facts: readonly string[] = []): readonly string[] {
  const rows = rules.map((rule) => [nameOf(rule), textOf(rule['does']), textOf(rule['place'])]);
  const body = rows.length === 0 ? 'no rule holds\n' : tableText(['RULE', 'DOES', 'WRITTEN IN'], rows);
  return ['\n', `${safeText(title)}\n`, ...facts.map((fact) => `${safeText(fact)}\n`), body];
}

function nameOf({ kind, namespace, name }: JsonRecord): string {
  return `${textOf(kind)} ${textOf(namespace)}/${textOf(name)}`;
}

function wrong(message: string, code: number): number {
  process.stderr.write(`outrigger describe: ${safeText(message)}\n`);
  return code;
}
