// Payloads of health checks: the bytes that are sent, and the blocks that an answer must have. A match is fuzzy:
// each block must be there, in the given order, with anything between them.
// Source: Envoy core.v3.HealthCheck.Payload.
import { error, type Problem } from '../base/problem.ts';
import type { HealthCheck_Payload } from '../xds/gen/envoy/config/core/v3/health_check_pb.js';

const HEX = /^(?:[0-9a-fA-F]{2})+$/;

/** Null after reporting why there are no bytes to have. */
export function compilePayload({ payload }: HealthCheck_Payload, problems: Problem[], path: string): Buffer | null {
  if (payload.case === 'binary') return Buffer.from(payload.value);
  if (payload.case === 'text' && HEX.test(payload.value)) return Buffer.from(payload.value, 'hex');
  const message = payload.case === undefined ? 'has no payload' : `invalid hex string '${payload.value}'`;
  problems.push(error(path, message, 'write text with two hexadecimal digits a byte, or binary'));
  return null;
}

/** True when every block is in `bytes`, one behind the other. */
export function hasBlocks(bytes: Buffer, blocks: readonly Buffer[]): boolean {
  let from = 0;
  for (const block of blocks) {
    const at = bytes.indexOf(block, from);
    if (at === -1) return false;
    from = at + block.length;
  }
  return true;
}
