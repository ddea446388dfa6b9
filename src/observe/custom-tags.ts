// Custom tags of spans: literal, environment and request header; the environment is read once, at
// config time. A later tag of the same name replaces an earlier one, as a route's replaces the
// manager's. Of metadata, that of the request is read (what filters found out); other metadata is refused.
import { error } from '../base/problem.ts';
import { readMetadata } from '../plan/dynamic-metadata.ts';
import type { Exchange } from '../plan/exchange.ts';
import { headerSource, readHeader, type HeaderSource } from '../plan/header-source.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { CustomTag, CustomTag_Metadata } from '../xds/gen/envoy/type/tracing/v3/custom_tag_pb.js';

export type SpanTag =
  | { readonly kind: 'fixed'; readonly name: string; readonly value: string }
  | {
      readonly kind: 'metadata';
      readonly name: string;
      readonly namespace: string;
      readonly keys: readonly string[];
      readonly fallback: string;
    }
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
      case 'metadata': {
        const tag = metadataTag(name, type.value);
        if (tag !== null) {
          tags.set(name, tag);
          break;
        }
        isRefused = true;
        env.problems.push(
          error(
            `${path}.custom_tags[${index}].metadata`,
            `custom tag ${name} is of metadata that is not there`,
            'write kind: { request: {} } and a metadata_key with a path',
          ),
        );
        break;
      }
      case undefined:
        isRefused = true;
        env.problems.push(
          error(
            `${path}.custom_tags[${index}]`,
            `custom tag ${name} is of a kind that is not supported`,
            'use literal, environment, request_header or metadata',
          ),
        );
    }
  }
  return isRefused ? null : [...tags.values()];
}

/** Null when it is of something else than a request, or names no key. */
function metadataTag(name: string, config: CustomTag_Metadata): SpanTag | null {
  const { kind, metadataKey, defaultValue: fallback } = config;
  const isOfRequest = kind === undefined || kind.kind.case === 'request';
  const keys = (metadataKey?.path ?? []).map(({ segment }) => (segment.case === 'key' ? segment.value : ''));
  if (!isOfRequest || metadataKey === undefined || keys.length === 0 || keys.includes('')) return null;
  return { kind: 'metadata', name, namespace: metadataKey.key, keys, fallback };
}

/** The value of `tag` for this request; empty for no tag. */
export function tagValue(x: Exchange, tag: SpanTag): string {
  if (tag.kind === 'fixed') return tag.value;
  if (tag.kind === 'header') return readHeader(x.request, tag.source) ?? tag.fallback;
  const value = readMetadata(x, tag.namespace, tag.keys);
  if (value === undefined || value === null) return tag.fallback;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
