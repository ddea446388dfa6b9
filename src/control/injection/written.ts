// A plain value of a manifest, that is written as YAML or as JSON.

export type Written = string | number | boolean | readonly Written[] | { readonly [name: string]: Written };
