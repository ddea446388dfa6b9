// Turns the checked text of an extension into a module, synchronously and without a file: what was hashed is what runs.
// An extension imports nothing (its types are erased): an import would bring code that no digest covers. That is no
// sandbox: an extension runs with the rights of the sidecar, which is why its digest is asked for.
import { createRequire, registerHooks } from 'node:module';

const SCHEME = 'outrigger-extension:';
const sources = new Map<string, string>();
let isHooked = false;

/** The exports; throws what the module throws, or what is wrong with its text. `id` names its version. */
export function loadModule(id: string, source: string): unknown {
  hook();
  const url = `${SCHEME}${id}`;
  sources.set(url, source);
  try {
    return createRequire(import.meta.url)(url);
  } finally {
    sources.delete(url);
  }
}

function hook(): void {
  if (isHooked) return;
  isHooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      if (context.parentURL?.includes(SCHEME) === true)
        throw new Error(
          `it imports ${JSON.stringify(specifier)}: an extension is one file without imports, but of types`,
        );
      if (!specifier.startsWith(SCHEME)) return next(specifier, context);
      return { url: specifier, format: 'module-typescript', shortCircuit: true };
    },
    load(url, context, next) {
      const at = url.indexOf(SCHEME);
      const source = at < 0 ? undefined : sources.get(url.slice(at));
      return source === undefined ? next(url, context) : { format: 'module-typescript', source, shortCircuit: true };
    },
  });
}
