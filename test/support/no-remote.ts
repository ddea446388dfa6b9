// Calls to other services in tests where nobody is there to be called: each fails, later.
import type { RemoteCalls } from '../../src/plan/remote-call.ts';

export const NO_REMOTE: RemoteCalls = {
  http: (_cluster, _request, { done }) => {
    const timer = setImmediate(() => done({ kind: 'failed', reason: 'no such cluster' }));
    return { cancel: () => clearImmediate(timer) };
  },
  grpc: (_cluster, _path, _message, { done }) => {
    const timer = setImmediate(() => done({ kind: 'failed', status: 14, reason: 'no such cluster' }));
    return { cancel: () => clearImmediate(timer) };
  },
};
