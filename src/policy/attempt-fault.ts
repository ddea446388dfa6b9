// @hot
// Faults of single attempts: the filter `outrigger.fault`, which takes Envoy's HTTPFault and injects it into each
// attempt instead of before the router. So a retry may meet another fault or none, and the timeouts of the
// attempt and of the route count a delay (istio/istio#13705 asks for that). Settings by route go by the same rules.
import type { Any } from '@bufbuild/protobuf/wkt';
import type { AttemptFault } from '../plan/attempt-fault.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import { CONTINUE, type PlanPart, type Verdict } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { drawAbort, drawDelay, endFault, type FaultSettings } from './fault.ts';
import { compileFaultFilter } from './fault-compile.ts';

class RouteFault implements AttemptFault {
  readonly settings: FaultSettings;

  constructor(settings: FaultSettings) {
    this.settings = settings;
  }

  delayOf(x: Exchange): number {
    return drawDelay(x, this.settings);
  }

  abortOf(x: Exchange): number {
    return drawAbort(x, this.settings);
  }
}

function setFault(x: Exchange, fault: RouteFault): Verdict {
  x.attemptFault = fault;
  return CONTINUE;
}

/** As a CompileHttpFilter. */
export function compileAttemptFault(config: Any, scope: FilterScope): HttpFilter | null {
  return compileFaultFilter(config, scope, attemptPart);
}

// config time
function attemptPart(settings: FaultSettings, name: string): PlanPart {
  if (settings.delay === null && settings.abort === null) return {};
  return {
    onRequest: [step('attempt-fault', name, setFault, new RouteFault(settings))],
    onEnd: [step('attempt-fault', name, endFault, settings.state)],
  };
}
