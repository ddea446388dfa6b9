// The commands of Envoy's substitution formats, one line each: a name and how to read its value from an
// exchange. What this proxy cannot know (trailers, filter state) is null, that is absent; what
// Envoy does not know either is refused by name.
// Source: Envoy 1.40, substitution formatter.
import { newUniqueId } from '../base/unique-id.ts';
import { hostname } from 'node:os';
import { error, type Problem } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from './exchange.ts';
import { addressOf, networkOf, portOf } from './format-address.ts';
import { formatAddress } from './cluster.ts';
import { longFlags } from './format-flags.ts';
import { compileDuration } from './format-duration.ts';
import { compileHeaderCommand } from './format-header.ts';
import { compileMetadataCommand } from './format-metadata.ts';
import { ABSENT_COMMANDS, ZERO_COMMANDS } from './format-absent.ts';
import { ISO_TIME, compileTime } from './format-time.ts';
import { compileTlsCommand } from './format-tls.ts';
import { flagLetters } from './response-flags.ts';
import { wireText } from './wire-text.ts';

type Read = (x: Exchange) => string | number | null;

/** What a command was written as. */
export interface Command {
  readonly name: string;
  /** Between the parentheses; null without them. */
  readonly argument: string | null;
  readonly problems: Problem[];
  readonly path: string;
}

const HOSTNAME = wireText(hostname());
const orNull = (text: string): string | null => (text === '' ? null : text);

/** Commands without an argument. */
const PLAIN = new Map<string, Read>([
  ['ACCESS_LOG_TYPE', (x) => (x.request.method === '' ? 'TcpConnectionEnd' : 'DownstreamEnd')],
  ['BYTES_RECEIVED', (x) => x.requestBytes],
  ['BYTES_SENT', (x) => x.responseBytes],
  ['CUSTOM_FLAGS', () => ''],
  ['CONNECTION_ID', (x) => x.connection.id],
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS', (x) => formatAddress(x.connection.localAddress, x.connection.localPort)],
  ['DOWNSTREAM_DIRECT_LOCAL_PORT', (x) => x.connection.localPort],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS', (x) => formatAddress(x.connection.remoteAddress, x.connection.remotePort)],
  ['DOWNSTREAM_DIRECT_REMOTE_PORT', (x) => x.connection.remotePort],
  ['DOWNSTREAM_HEADER_BYTES_RECEIVED', (x) => x.requestHeadBytes],
  ['DOWNSTREAM_HEADER_BYTES_SENT', (x) => x.responseHeadBytes],
  ['DOWNSTREAM_LOCAL_ADDRESS', (x) => formatAddress(x.connection.localAddress, x.connection.localPort)],
  ['DOWNSTREAM_LOCAL_PORT', (x) => x.connection.localPort],
  ['DOWNSTREAM_REMOTE_ADDRESS', (x) => formatAddress(clientAddress(x), clientPort(x))],
  ['DOWNSTREAM_REMOTE_PORT', (x) => clientPort(x)],
  ['DOWNSTREAM_WIRE_BYTES_RECEIVED', (x) => x.requestHeadBytes + x.requestBytes],
  ['DOWNSTREAM_WIRE_BYTES_SENT', (x) => x.responseHeadBytes + x.responseBytes],
  ['HOSTNAME', () => HOSTNAME],
  ['LOCAL_REPLY_BODY', (x) => (x.isUpstreamResponse ? '' : x.replyBody)],
  ['PROTOCOL', (x) => (x.request.method === '' ? null : httpVersion(x.request.minor))],
  ['REQUEST_HEADERS_BYTES', (x) => x.requestHeadBytes],
  ['RESPONSE_CODE', (x) => x.response.status],
  ['RESPONSE_FLAGS', (x) => (x.flags === 0 ? '-' : flagLetters(x.flags))],
  ['RESPONSE_FLAGS_LONG', (x) => longFlags(x.flags)],
  ['RESPONSE_HEADERS_BYTES', (x) => x.responseHeadBytes],
  ['ROUTE_NAME', (x) => (x.plan === null ? null : orNull(wireText(x.plan.route)))],
  ['STREAM_ID', (x) => x.request.get(H.requestId)],
  ['SPAN_ID', (x) => (x.trace === null ? null : x.trace.serverSpanId)],
  ['TRACE_ID', (x) => (x.trace === null ? null : x.trace.traceId)],
  ['UNIQUE_ID', () => newUniqueId()],
  ['UPSTREAM_CLUSTER', (x) => (x.cluster === null ? null : x.cluster.name)],
  ['UPSTREAM_CLUSTER_RAW', (x) => (x.cluster === null ? null : x.cluster.name)],
  ['UPSTREAM_HOST', (x) => (x.endpoint === null ? null : x.endpoint.authority)],
  ['UPSTREAM_HOST_NAME', (x) => hostnameOfEndpoint(x)],
  ['UPSTREAM_HOST_NAME_WITHOUT_PORT', (x) => (x.endpoint === null ? null : addressOf(hostnameOfEndpoint(x) ?? ''))],
  ['UPSTREAM_LOCAL_ADDRESS', (x) => orNull(x.upstreamLocalAddress)],
  ['UPSTREAM_LOCAL_PORT', (x) => portOf(x.upstreamLocalAddress)],
  ['UPSTREAM_PROTOCOL', (x) => (x.isUpstreamResponse ? 'HTTP/1.1' : null)],
  [
    'UPSTREAM_REMOTE_ADDRESS',
    (x) => (x.upstreamLocalAddress === '' || x.endpoint === null ? null : x.endpoint.authority),
  ],
  ['UPSTREAM_REMOTE_PORT', (x) => (x.upstreamLocalAddress === '' || x.endpoint === null ? null : x.endpoint.port)],
  ['UPSTREAM_REQUEST_ATTEMPT_COUNT', (x) => x.attempts],
  ['UPSTREAM_TRANSPORT_FAILURE_REASON', (x) => transportFailure(x)],
]);

/** Addresses without their port; the argument, if any, is a number of bits to keep. */
const ADDRESSES = new Map<string, (x: Exchange) => string>([
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT', (x) => x.connection.localAddress],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT', (x) => x.connection.remoteAddress],
  ['DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT', (x) => x.connection.localAddress],
  ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', (x) => clientAddress(x)],
  ['UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT', (x) => addressOf(x.upstreamLocalAddress)],
  [
    'UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
    (x) => (x.upstreamLocalAddress === '' || x.endpoint === null ? '' : x.endpoint.address),
  ],
]);

/** How to read a command's value; null after reporting why it is refused. */
export function compileOperator(name: string, argument: string | null, problems: Problem[], path: string): Read | null {
  const command: Command = { name, argument, problems, path };
  const plain = PLAIN.get(name);
  if (plain !== undefined) return argument === null ? plain : refuseArgument(command);
  if (ZERO_COMMANDS.has(name)) return () => 0;
  const address = ADDRESSES.get(name);
  if (address !== undefined) return compileAddress(address, command);
  switch (name) {
    case 'START_TIME':
    case 'START_TIME_LOCAL':
    case 'EMIT_TIME':
    case 'EMIT_TIME_LOCAL':
      return compileTimeCommand(command);
    case 'RESPONSE_CODE_DETAILS':
      return argument === 'ALLOW_WHITESPACES'
        ? (x) => orNull(isRequest(x) ? x.details : '')
        : (x) => orNull(isRequest(x) ? x.details.replaceAll(' ', '_') : '');
    case 'CONNECTION_TERMINATION_DETAILS':
      return (x) => orNull(isRequest(x) ? '' : x.details);
    case 'REQUESTED_SERVER_NAME':
      return compileServerName(command);
    case 'ENVIRONMENT': {
      if (argument === null || argument === '') return refuseArgument(command, 'needs the name of a variable');
      const value = process.env[argument];
      // Not absent to Envoy: the dash is its value, in headers too.
      const text = value === undefined ? '-' : wireText(value);
      return () => text;
    }
    default:
      return (
        compileHeaderCommand(command) ??
        compileMetadataCommand(command) ??
        compileDuration(command) ??
        compileTlsCommand(command) ??
        refuseUnknown(command)
      );
  }
}

function refuseArgument(command: Command, message = 'takes no argument'): null {
  command.problems.push(error(command.path, `%${command.name}% ${message}`));
  return null;
}

/** Known commands without a value here end as absent; a refused argument has been reported already. */
function refuseUnknown(command: Command): Read | null {
  if (ABSENT_COMMANDS.has(command.name)) return () => null;
  if (
    !command.problems.some(
      (problem) => problem.path === command.path && problem.message.startsWith(`%${command.name}%`),
    )
  ) {
    command.problems.push(
      error(command.path, `%${command.name}% is not a known command`, 'see the substitution commands of Envoy'),
    );
  }
  return null;
}

function compileAddress(read: (x: Exchange) => string, command: Command): Read | null {
  const { argument } = command;
  if (argument === null || argument === '') return (x) => orNull(read(x));
  if (!/^[0-9]{1,3}$/.test(argument) || Number(argument) > 128)
    return refuseArgument(command, `takes a prefix length, not '${argument}'`);
  const bits = Number(argument);
  return (x) => networkOf(read(x), bits);
}

function compileTimeCommand({ name, argument, problems, path }: Command): Read | null {
  const zone = name.endsWith('_LOCAL') ? 'local' : 'utc';
  const format = compileTime(argument === null || argument === '' ? ISO_TIME : argument, zone, problems, path);
  if (format === null) return null;
  if (name.startsWith('EMIT')) return () => format(Date.now());
  return (x) => format(x.startWallMs);
}

function compileServerName(command: Command): Read | null {
  const [choice = '', source = ''] = (command.argument ?? '').split(':');
  const readHost = compileHeaderCommand({ ...command, name: 'REQ', argument: HOST_SOURCES.get(source) ?? '' });
  if (readHost === null)
    return refuseArgument(command, `takes ORIG, HOST or ORIG_OR_HOST behind the colon, not '${source}'`);
  switch (choice) {
    case '':
    case 'SNI_ONLY':
      return (x) => orNull(x.connection.serverName);
    case 'SNI_FIRST':
      return (x) => (x.connection.serverName === '' ? readHost(x) : x.connection.serverName);
    case 'HOST_FIRST':
      return (x) => readHost(x) ?? orNull(x.connection.serverName);
    default:
      return refuseArgument(command, `takes SNI_ONLY, SNI_FIRST or HOST_FIRST, not '${choice}'`);
  }
}

const HOST_SOURCES = new Map([
  ['', 'x-envoy-original-host?:authority'],
  ['ORIG', 'x-envoy-original-host'],
  ['HOST', ':authority'],
  ['ORIG_OR_HOST', 'x-envoy-original-host?:authority'],
]);

function httpVersion(minor: number): string {
  return minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1';
}

/** The client's address as x-forwarded-for gives it, when that is trusted; else the peer's. */
function clientAddress(x: Exchange): string {
  return x.clientAddress === '' ? x.connection.remoteAddress : x.clientAddress;
}

/** An address from x-forwarded-for has no port. */
function clientPort(x: Exchange): number {
  return x.clientAddress === '' || x.clientAddress === x.connection.remoteAddress ? x.connection.remotePort : 0;
}

function hostnameOfEndpoint(x: Exchange): string | null {
  if (x.endpoint === null) return null;
  return x.endpoint.hostname === '' ? x.endpoint.authority : x.endpoint.hostname;
}

/** Envoy repeats the transport's reason in the details: `…{remote_connection_failure|REASON}`. */
function transportFailure(x: Exchange): string | null {
  const { failure } = x;
  if (failure === null || failure.source !== 'upstream') return null;
  const bar = x.details.indexOf('|');
  if (bar === -1) return null;
  const brace = x.details.indexOf('}', bar);
  return x.details.slice(bar + 1, brace === -1 ? undefined : brace);
}

/** A connection without requests has neither a method nor a status. */
function isRequest(x: Exchange): boolean {
  return x.request.method !== '' || x.response.status !== 0;
}
