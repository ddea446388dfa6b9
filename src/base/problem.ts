// A Problem says what is wrong with something a person or a program configured: where it stands,
// what is wrong, and what to write instead. Compilers collect every Problem, never only the first.

export interface Place {
  readonly file: string;
  /** 1-based; 0 for an object that has no text. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
}

/** Why what a rule names cannot be had: in the Gateway API's words for its routes, in that of Istio's analysis for all else. */
export type ReferenceFault =
  | 'BackendNotFound'
  | 'InvalidKind'
  | 'NoMatchingParent'
  | 'RefNotPermitted'
  | 'ReferencedResourceNotFound'
  | 'UnsupportedProtocol';

export interface Problem {
  /** `error`: the thing is refused and its last good version stays. `warning`: accepted, but doubtful. */
  readonly severity: 'error' | 'warning';
  /** Field path inside the resource, for example `spec.http[0].route[1].weight`; empty for the whole. */
  readonly path: string;
  /** What is wrong, lower case, without a full stop. */
  readonly message: string;
  /** What to write or do instead; empty when the message says it already. */
  readonly remedy: string;
  readonly place: Place | null;
  /** There when the thing is right in itself and names something that cannot be had: that may come yet. */
  readonly reference?: ReferenceFault;
}

export function error(path: string, message: string, remedy = '', place: Place | null = null): Problem {
  return { severity: 'error', path, message, remedy, place };
}

export function warning(path: string, message: string, remedy = '', place: Place | null = null): Problem {
  return { severity: 'warning', path, message, remedy, place };
}

/** The same about something that is named and cannot be had. */
export function unresolved(problem: Problem, reference: ReferenceFault = 'ReferencedResourceNotFound'): Problem {
  return { ...problem, reference };
}

/** True when at least one Problem refuses the thing. */
export function refuses(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}

/** One line for people: `file:line:column: path: message; remedy`. */
export function formatProblem(problem: Problem): string {
  const { place, path, message, remedy } = problem;
  const where = place === null ? '' : `${formatPlace(place)}: `;
  return `${where}${path === '' ? '' : `${path}: `}${message}${remedy === '' ? '' : `; ${remedy}`}`;
}

/** `file:line:column`; what has no lines is its file. */
export function formatPlace({ file, line, column }: Place): string {
  return line === 0 ? file : `${file}:${line}:${column}`;
}
