// The control service of the scale benchmark, in a process of its own: the world comes from memory, changes from the
// parent, and with each change goes the moment when it happened (process.hrtime, one clock for all processes).
import { createLog } from '../../../src/base/log.ts';
import { parseObject } from '../../../src/config/parse.ts';
import { ControlService } from '../../../src/control/control.ts';
import type { RuleSink, RuleSource } from '../../../src/control/rule-source.ts';
import { changeOf, objectsOf, routeChangeOf, type Named, type WorldSize } from './scale-world.ts';

export type ControlOrder =
  | { readonly kind: 'endpoint' | 'route'; readonly service: number; readonly turn: number }
  | { readonly kind: 'end' };

class WorldSource implements RuleSource {
  readonly #world: WorldSize;
  #sink: RuleSink | null = null;

  constructor(world: WorldSize) {
    this.#world = world;
  }

  start(sink: RuleSink): Promise<void> {
    this.#sink = sink;
    for (const object of objectsOf(this.#world)) this.#apply(object);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  change(order: Exclude<ControlOrder, { kind: 'end' }>): void {
    const { kind, service, turn } = order;
    if (kind === 'route') this.#apply(routeChangeOf(service, turn, this.#world));
    else for (const object of changeOf(service, turn, this.#world)) this.#apply(object);
  }

  #apply({ name, value }: Named): void {
    this.#sink?.apply(name, parseObject(name, value));
  }
}

const [services = 0, endpoints = 0, namespaces = 1, port = 0] = process.argv.slice(2).map(Number);
const source = new WorldSource({ services, endpoints, namespaces });
const control = new ControlService({
  sources: [source],
  log: createLog('control', 'warning'),
  xdsAddress: `127.0.0.1:${port}`,
  httpAddress: '127.0.0.1:0',
});
const startedMs = performance.now();
const { xds } = await control.start();
process.send?.({ kind: 'ready', xds, startMs: performance.now() - startedMs });
process.on('message', (order: ControlOrder) => {
  if (order.kind === 'end') void control.stop().then(() => process.exit(0));
  else source.change(order);
});
