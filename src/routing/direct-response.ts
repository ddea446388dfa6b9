// Direct responses: a status and a body that is read once, at config time. The body's size is limited
// (RouteConfiguration.max_direct_response_body_size_bytes, 4096 by default), because it stays in
// memory. Source: Envoy DirectResponseAction and DataSource.
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import { readDataSource } from '../plan/data-source.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileFormat, type Format } from '../plan/format.ts';
import { REPLY, type Verdict } from '../plan/plan.ts';
import { wireText } from '../plan/wire-text.ts';
import type { SubstitutionFormatString } from '../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';
import type { DirectResponseAction } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { applyResponseEdits, type ResponseEdits } from '../plan/header-edits.ts';

export const DIRECT_BODY_BYTES_MAX = 4096;

export interface DirectResponse {
  readonly status: number;
  /** Wire text. */
  readonly body: string;
  /** Makes the body, in which `%LOCAL_REPLY_BODY%` is the one above; null leaves it. */
  readonly format: Format | null;
  /** Empty for `text/plain`. */
  readonly contentType: string;
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
  const body =
    (action.body === undefined ? null : readDataSource(action.body, problems, `${path}.body`)) ?? Buffer.alloc(0);
  if (body.length > bodyBytesMax) {
    problems.push(
      error(
        `${path}.body`,
        `has ${body.length} bytes, more than ${bodyBytesMax}`,
        'shorten it, or raise max_direct_response_body_size_bytes',
      ),
    );
  }
  const format = action.bodyFormat === undefined ? null : compileBodyFormat(action.bodyFormat, problems, path);
  const contentType = wireText(action.bodyFormat?.contentType ?? '');
  return { status: action.status, body: body.toString('latin1'), format, contentType, edits };
}

function compileBodyFormat(config: SubstitutionFormatString, problems: Problem[], path: string): Format | null {
  const at = `${path}.body_format`;
  const { format } = config;
  const missing = config.omitEmptyValues ? '' : '-';
  switch (format.case) {
    case 'textFormat':
      return compileFormat(format.value, problems, `${at}.text_format`, missing);
    case 'textFormatSource': {
      const source = `${at}.text_format_source`;
      const text = readDataSource(format.value, problems, source)?.toString('utf8') ?? '';
      return compileFormat(text, problems, source, missing);
    }
    case 'jsonFormat':
      problems.push(error(`${at}.json_format`, 'is not supported here', 'write the JSON as text_format_source'));
      return null;
    case undefined:
      problems.push(error(at, 'no format is given', 'set text_format_source'));
      return null;
    default:
      return assertNever(format);
  }
}

export function runDirectResponse(x: Exchange, arg: DirectResponse): Verdict {
  x.response.status = arg.status;
  x.replyBody = arg.body;
  if (arg.format !== null) x.replyBody = arg.format.run(x);
  if (arg.contentType !== '') x.response.set(H.contentType, arg.contentType);
  x.details = 'direct_response';
  if (arg.status === 201 || (arg.status >= 300 && arg.status < 400)) {
    const { request } = x;
    x.response.add(H.location, request.scheme + '://' + request.authority + request.path);
  }
  applyResponseEdits(x, arg.edits);
  return REPLY;
}
