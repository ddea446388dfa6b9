export interface RegistryOptions {
  /** Label sets per family before new ones fall into the overflow series; 5000 by default. */
  readonly seriesMax?: number;
}
export class Registry {
  readonly seriesMax: number;
  constructor({ seriesMax = 5000 }: RegistryOptions = {}) {
    this.seriesMax = seriesMax;
  }
}
