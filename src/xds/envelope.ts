// Writes a DiscoveryResponse or a DeltaDiscoveryResponse around resources that are in bytes already. The
// envelope is small and written once per message; the resources are copied in, never encoded again.
// Field numbers are those of envoy/service/discovery/v3/discovery.proto and google/protobuf/any.proto.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

import type { EncodedResource } from './resource.ts';
import type { Outgoing } from './watch.ts';

/** `ControlPlane.identifier` of every response; shown by `/config_dump` and in logs of clients. */
export function encodeResponse(message: Outgoing, identifier: string): Uint8Array {
  const writer = new BinaryWriter();
  text(writer, 1, message.version);
  for (const resource of message.resources) any(writer, 2, resource);
  text(writer, 4, message.typeUrl);
  text(writer, 5, message.nonce);
  controlPlane(writer, 6, identifier);
  return writer.finish();
}

/** By resource: a field `resources` of a DeltaDiscoveryResponse, tag and length included; many streams are sent the same. */
const frames = new WeakMap<EncodedResource, Uint8Array>();

export function encodeDeltaResponse(message: Outgoing, identifier: string): Uint8Array {
  const writer = new BinaryWriter();
  text(writer, 1, message.version);
  text(writer, 4, message.typeUrl);
  text(writer, 5, message.nonce);
  for (const name of message.removed) writer.tag(6, WireType.LengthDelimited).string(name);
  controlPlane(writer, 7, identifier);
  const parts = [writer.finish(), ...message.resources.map(frameOf)];
  const { buffer } = Buffer.allocUnsafeSlow(parts.reduce((total, part) => total + part.length, 0));
  const bytes = new Uint8Array(buffer);
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  return bytes;
}

function frameOf(resource: EncodedResource): Uint8Array {
  const known = frames.get(resource) ?? frame(resource);
  frames.set(resource, known);
  return known;
}

function frame(resource: EncodedResource): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(2, WireType.LengthDelimited).fork();
  text(writer, 1, resource.version);
  any(writer, 2, resource);
  text(writer, 3, resource.name);
  writer.join();
  return writer.finish();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  if (value !== '') writer.tag(field, WireType.LengthDelimited).string(value);
}

function any(writer: BinaryWriter, field: number, resource: EncodedResource): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  text(writer, 1, resource.typeUrl);
  if (resource.bytes.length > 0) writer.tag(2, WireType.LengthDelimited).bytes(resource.bytes);
  writer.join();
}

function controlPlane(writer: BinaryWriter, field: number, identifier: string): void {
  if (identifier === '') return;
  writer.tag(field, WireType.LengthDelimited).fork();
  text(writer, 1, identifier);
  writer.join();
}
