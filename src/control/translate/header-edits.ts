// Header edits: every `set`, then every `add`, each sorted by name, as Istio writes them. Pseudo headers
// and the host are never edited as headers; the host becomes a host rewrite.
import { create } from '@bufbuild/protobuf';
import type { HeaderEdits } from '../../config/virtual-service.ts';
import type { RouteHeaderEdits } from '../../config/http-route-filter.ts';
import {
  HeaderValueOptionSchema,
  HeaderValueOption_HeaderAppendAction as Action,
} from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { HeaderValueOption } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { soundFormat } from './header-format.ts';

export interface EditLists {
  readonly toAdd: HeaderValueOption[];
  readonly toRemove: string[];
}

export function editLists({ set, add, remove }: HeaderEdits): EditLists {
  const toAdd = [...options(set, Action.OVERWRITE_IF_EXISTS_OR_ADD), ...options(add, Action.APPEND_IF_EXISTS_OR_ADD)];
  return { toAdd, toRemove: remove.filter((name) => !isInternal(name)) };
}

/** The Gateway API's edits are literal: a `%` in a value is written `%%` for Envoy. */
export function gatewayEditLists({ set, add, remove }: RouteHeaderEdits): EditLists {
  return editLists({ set: literal(set), add: literal(add), remove });
}

/** The host that an edit of `host` or `:authority` asks for; `set` wins over `add`. Empty when none does. */
export function hostFromEdits({ set, add }: HeaderEdits): string {
  for (const edits of [set, add]) {
    for (const [name, value] of edits) if (isHost(name)) return value;
  }
  return '';
}

function options(edits: ReadonlyMap<string, string>, appendAction: Action): readonly HeaderValueOption[] {
  return [...edits]
    .filter(([name]) => !isInternal(name))
    .toSorted(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
    .map(([key, value]) =>
      create(HeaderValueOptionSchema, { header: { key, value: soundFormat(value) }, appendAction }),
    );
}

function isHost(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === 'host' || lower === ':authority';
}

function isInternal(name: string): boolean {
  return name.startsWith(':') || isHost(name);
}

function literal(pairs: RouteHeaderEdits['set']): ReadonlyMap<string, string> {
  return new Map(pairs.map(([name, value]) => [name, value.replaceAll('%', '%%')]));
}
