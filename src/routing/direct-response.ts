// Direct responses: a status and a body that is read once, at config time. The body's size is limited
// (RouteConfiguration.max_direct_response_body_size_bytes, 4096 by default), because it stays in
// memory. Source: Envoy DirectResponseAction and DataSource.
import { assertNever } from '../base/assert.ts';
import { readFileSync } from 'node:fs';
import { error, type Problem } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { REPLY, type Verdict } from '../plan/plan.ts';
import type { DataSource } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { DirectResponseAction } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { applyResponseEdits, type ResponseEdits } from './header-edits.ts';

export const DIRECT_BODY_BYTES_MAX = 4096;

export interface DirectResponse {
  readonly status: number;
  readonly body: string;
  readonly edits: ResponseEdits;
}

export interface DirectResponseContext {
  readonly problems: Problem[];
  readonly bodyBytesMax: number;
  readonly edits: ResponseEdits;
}

export function compileDirectResponse(
  action: DirectResponseAction,
  context: DirectResponseContext,
  path: string,
): DirectResponse {
  const { problems, bodyBytesMax, edits } = context;
  if (action.status < 200 || action.status > 599) {
    problems.push(error(`${path}.status`, `must be 200 to 599, not ${action.status}`));
  }
  const body = action.body === undefined ? Buffer.alloc(0) : readSource(action.body, problems, `${path}.body`);
  if (body.length > bodyBytesMax) {
    problems.push(
      error(
        `${path}.body`,
        `has ${body.length} bytes, more than ${bodyBytesMax}`,
        'shorten it, or raise max_direct_response_body_size_bytes',
      ),
    );
  }
  return { status: action.status, body: body.toString('utf8'), edits };
}

/** The bytes behind a DataSource, read now; empty after reporting why they cannot be. */
function readSource(source: DataSource, problems: Problem[], path: string): Buffer {
  const { specifier } = source;
  switch (specifier.case) {
    case 'inlineString':
      return Buffer.from(specifier.value, 'utf8');
    case 'inlineBytes':
      return Buffer.from(specifier.value);
    case 'filename':
      try {
        return readFileSync(specifier.value);
      } catch (cause) {
        problems.push(
          error(`${path}.filename`, `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`),
        );
        return Buffer.alloc(0);
      }
    case 'environmentVariable': {
      const value = process.env[specifier.value];
      if (value === undefined) problems.push(error(`${path}.environment_variable`, `'${specifier.value}' is not set`));
      return Buffer.from(value ?? '', 'utf8');
    }
    case undefined:
      problems.push(error(path, 'has no source', 'set inline_string, inline_bytes, filename or environment_variable'));
      return Buffer.alloc(0);
    default:
      return assertNever(specifier);
  }
}

export function runDirectResponse(x: Exchange, arg: DirectResponse): Verdict {
  x.response.status = arg.status;
  x.replyBody = arg.body;
  x.details = 'direct_response';
  if (arg.status === 201 || (arg.status >= 300 && arg.status < 400)) {
    const { request } = x;
    x.response.add(H.location, request.scheme + '://' + request.authority + request.path);
  }
  applyResponseEdits(x, arg.edits);
  return REPLY;
}
