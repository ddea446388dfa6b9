// All cases of the comparison, by bootstrap.
import { ACTION_CASES } from './cases/action-cases.ts';
import { CAPTURE_CASES } from './cases/capture-cases.ts';
import { CORS_CASES } from './cases/cors-cases.ts';
import { DEADLINE_CASES } from './cases/deadline-cases.ts';
import { EXT_AUTHZ_HTTP_CASES } from './cases/ext-authz-http-cases.ts';
import { FAILURE_CASES } from './cases/failure-cases.ts';
import { FAULT_CASES } from './cases/fault-cases.ts';
import { FRAMING_CASES } from './cases/framing-cases.ts';
import { HEADER_CASES } from './cases/header-cases.ts';
import { LIFETIME_CASES } from './cases/lifetime-cases.ts';
import { MANAGER_CASES } from './cases/manager-cases.ts';
import { MATCH_CASES } from './cases/match-cases.ts';
import { MEETING_CASES } from './cases/meeting-cases.ts';
import { RBAC_CASES } from './cases/rbac-cases.ts';
import { RATE_LIMIT_CASES } from './cases/rate-limit-cases.ts';
import { RETRY_CASES } from './cases/retry-cases.ts';
import { SELECTION_CASES } from './cases/selection-cases.ts';
import { TOKEN_CASES } from './cases/token-cases.ts';
import type { CaseTable } from './peer-case.ts';

export const CASE_TABLES: CaseTable = {
  ...MATCH_CASES,
  ...ACTION_CASES,
  ...HEADER_CASES,
  ...MANAGER_CASES,
  ...FRAMING_CASES,
  ...EXT_AUTHZ_HTTP_CASES,
  ...FAILURE_CASES,
  ...CORS_CASES,
  ...DEADLINE_CASES,
  ...FAULT_CASES,
  ...MEETING_CASES,
  ...CAPTURE_CASES,
  ...LIFETIME_CASES,
  ...SELECTION_CASES,
  ...RBAC_CASES,
  ...RETRY_CASES,
  ...RATE_LIMIT_CASES,
  ...TOKEN_CASES,
};
