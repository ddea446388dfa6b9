// Virtual hosts that are fetched when a request is for them (VHDS): what a filter may ask about them. The sidecar asks its
// control service (sidecar/host-demand.ts), and remembers.
import type { RemoteCall } from './remote-call.ts';

export interface HostLookup {
  /** Whether it has been said if there is such a host: nothing needs to be asked. `name`: `CONFIGURATION/DOMAIN`. */
  isKnown(name: string): boolean;
  /** `done` is called once, later than this returns, when the host is in force (true), is not there, or nobody said in time (null). */
  ask(name: string, done: (isThere: boolean | null) => void): RemoteCall;
}
