// The definitions of the Gateway API's kinds that the control service follows, as upstream has them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { recordOf } from '../../src/kube/json-record.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';

export async function gatewayDefinitions(): Promise<readonly object[]> {
  return await Promise.all(
    ['httproutes', 'referencegrants'].map(async (plural) => {
      const file = `gateway.networking.k8s.io_${plural}.yaml`;
      const text = await readFile(join(PROJECT_ROOT, '.realparts/gateway-api-crds', file), 'utf8');
      return recordOf(parse(text));
    }),
  );
}
