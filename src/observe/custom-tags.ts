// Custom tags of spans: literal, environment and request header; the environment is read once, at
// config time. A later tag of the same name replaces an earlier one, as a route's replaces the
// manager's. Metadata tags are refused: there is no dynamic metadata here yet.
import { error } from '../base/problem.ts';
import type { Exchange } from '../plan/exchange.ts';
import { headerSource, readHeader, type HeaderSource } from '../plan/header-source.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { CustomTag } from '../xds/gen/envoy/type/tracing/v3/custom_tag_pb.js';

export type SpanTag =
  | { readonly kind: 'fixed'; readonly name: string; readonly value: string }
  | { readonly kind: 'header'; readonly name: string; readonly source: HeaderSource; readonly fallback: string };

/** Null when one is refused. */
export function compileCustomTags(configs: readonly CustomTag[], env: CompileEnv, path: string): SpanTag[] | null {
  const tags = new Map<string, SpanTag>();
  let isRefused = false;
  for (const [index, { tag: name, type }] of configs.entries()) {
    switch (type.case) {
      case 'literal':
        tags.set(name, { kind: 'fixed', name, value: type.value.value });
        break;
      case 'environment': {
        const value = process.env[type.value.name] ?? type.value.defaultValue;
        if (value !== '') tags.set(name, { kind: 'fixed', name, value });
        break;
      }
      case 'requestHeader': {
        const { name: header, defaultValue } = type.value;
        tags.set(name, { kind: 'header', name, source: headerSource(header), fallback: defaultValue });
        break;
      }
      case 'metadata':
      case undefined:
        isRefused = true;
        env.problems.push(
          error(
            `${path}.custom_tags[${index}]`,
            `custom tag ${name} is of a kind that is not supported`,
            'use literal, environment or request_header',
          ),
        );
    }
  }
  return isRefused ? null : [...tags.values()];
}

/** The value of `tag` for this request; empty for no tag. */
export function tagValue(x: Exchange, tag: SpanTag): string {
  return tag.kind === 'fixed' ? tag.value : (readHeader(x.request, tag.source) ?? tag.fallback);
}
