// What turns requests away before they hurt the app: the sections `shedding`, `adaptiveConcurrency` and
// `admissionControl` of ResiliencePolicies, as HTTP filters of the managers that receive for the app, in this order.
// What the first two turn away is no failure of the app, so admission control, which counts failures, stands last.
import { create, fromJson } from '@bufbuild/protobuf';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import type { AdaptiveConcurrencySection } from '../../config/adaptive-concurrency-section.ts';
import type { AdmissionControlSection } from '../../config/admission-control-section.ts';
import type { SheddingSection } from '../../config/shedding-section.ts';
import { RuntimePercentSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { RuntimePercent } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  AdaptiveConcurrencySchema,
  GradientControllerConfigSchema,
} from '../../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import type { AdaptiveConcurrency } from '../../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import {
  AdmissionControlSchema,
  AdmissionControl_SuccessCriteriaSchema,
} from '../../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import type { AdmissionControl } from '../../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { HttpFilterSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpFilter } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { HttpStatusSchema, StatusCode } from '../../xds/gen/envoy/type/v3/http_status_pb.js';
import { PercentSchema } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import type { Percent } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';
import { duration, pack } from './proto.ts';

/** Whose app it is. */
export interface InboundOwner {
  readonly service: MeshService;
  /** At which instances of the service are called. */
  readonly instancePort: number;
}

const UPDATE_MS = 100;
const MEASURE_MS = 60_000;
/** No port has it: what is found for it is written for all ports. */
const ANY_PORT = { number: 0, name: '' };

export function overloadFilters(
  { resilience }: Pick<Snapshot, 'resilience'>,
  { abilities, addresses }: Pick<MeshNode, 'abilities' | 'addresses'>,
  owner: InboundOwner | null,
): readonly HttpFilter[] {
  if (owner === null) return [];
  const filters: (HttpFilter | undefined)[] = [];
  for (const section of resilience.ofService(owner.service, servicePort(owner, addresses))) {
    if (section.kind === 'shedding' && abilities.ownFilters) filters[0] = shedding(section);
    else if (section.kind === 'adaptiveConcurrency')
      filters[1] = filter('envoy.filters.http.adaptive_concurrency', AdaptiveConcurrencySchema, adaptive(section));
    else if (section.kind === 'admissionControl')
      filters[2] = filter('envoy.filters.http.admission_control', AdmissionControlSchema, admission(section));
  }
  return filters.filter((made) => made !== undefined);
}

/** The first of the service's ports that leads to the app's. */
export function servicePort(
  { service, instancePort }: InboundOwner,
  addresses: readonly string[],
): Pick<MeshPort, 'number' | 'name'> {
  const found = service.ports.find(({ number }) =>
    service.endpoints.get(number)?.some(({ address, port }) => port === instancePort && addresses.includes(address)),
  );
  return found ?? ANY_PORT;
}

function shedding({ header, classes, otherwise, requests }: SheddingSection): HttpFilter {
  const fields = {
    classes: classes.map(({ name, share }) => ({ name, share })),
    ...(header === '' ? {} : { header }),
    ...(otherwise === '' ? {} : { default: otherwise }),
    ...(requests === null ? { adaptive: true } : { requests }),
  };
  return filter('outrigger.shedding', StructSchema, fromJson(StructSchema, fields));
}

function adaptive(section: AdaptiveConcurrencySection): AdaptiveConcurrency {
  const { percentile, maxConcurrency, updateIntervalMs, restTime, status } = section;
  const controller = create(GradientControllerConfigSchema, {
    concurrencyLimitParams: { concurrencyUpdateInterval: duration(updateIntervalMs ?? UPDATE_MS) },
    minRttCalcParams: {},
  });
  const { concurrencyLimitParams: limits, minRttCalcParams: rest } = controller;
  if (percentile !== null) controller.sampleAggregatePercentile = percent(percentile);
  if (limits !== undefined && maxConcurrency !== null) limits.maxConcurrencyLimit = maxConcurrency;
  if (rest !== undefined) {
    const { intervalMs = null, fixedMs = null, requests = null, minConcurrency = null } = restTime ?? {};
    const { jitter = null, buffer = null } = restTime ?? {};
    if (fixedMs === null) rest.interval = duration(intervalMs ?? MEASURE_MS);
    else rest.fixedValue = duration(fixedMs);
    if (requests !== null) rest.requestCount = requests;
    if (minConcurrency !== null) rest.minConcurrency = minConcurrency;
    if (jitter !== null) rest.jitter = percent(jitter);
    if (buffer !== null) rest.buffer = percent(buffer);
  }
  const made = create(AdaptiveConcurrencySchema, {
    concurrencyControllerConfig: { case: 'gradientControllerConfig', value: controller },
  });
  if (status !== null)
    made.concurrencyLimitExceededStatus = create(HttpStatusSchema, {
      code: status === 429 ? StatusCode.TooManyRequests : StatusCode.ServiceUnavailable,
    });
  return made;
}

function admission(section: AdmissionControlSection): AdmissionControl {
  const { samplingWindowMs, aggression, successThreshold, minimumRate, maxRejection } = section;
  const { successStatuses, grpcSuccessStatuses } = section;
  const made = create(AdmissionControlSchema, {
    evaluationCriteria: {
      case: 'successCriteria',
      value: create(AdmissionControl_SuccessCriteriaSchema, {
        // Envoy's end of a range is not part of it.
        // Envoy refuses criteria that list nothing; without them its defaults hold.
        ...(successStatuses.length === 0
          ? {}
          : {
              httpCriteria: {
                httpSuccessStatus: successStatuses.map(({ from, to }) => ({ start: from, end: to + 1 })),
              },
            }),
        ...(grpcSuccessStatuses.length === 0 ? {} : { grpcCriteria: { grpcSuccessStatus: [...grpcSuccessStatuses] } }),
      }),
    },
  });
  if (samplingWindowMs !== null) made.samplingWindow = duration(samplingWindowMs);
  if (aggression !== null)
    made.aggression = {
      $typeName: 'envoy.config.core.v3.RuntimeDouble',
      defaultValue: aggression,
      runtimeKey: 'admission_control.aggression',
    };
  if (minimumRate !== null)
    made.rpsThreshold = {
      $typeName: 'envoy.config.core.v3.RuntimeUInt32',
      defaultValue: minimumRate,
      runtimeKey: 'admission_control.rps_threshold',
    };
  if (successThreshold !== null) made.srThreshold = percentage(successThreshold, 'sr_threshold');
  if (maxRejection !== null) made.maxRejectionProbability = percentage(maxRejection, 'max_rejection_probability');
  return made;
}

function percentage(value: number, name: string): RuntimePercent {
  const runtimeKey = `admission_control.${name}`;
  return create(RuntimePercentSchema, { defaultValue: percent(value), runtimeKey });
}

function percent(value: number): Percent {
  return create(PercentSchema, { value });
}

function filter<Desc extends DescMessage>(name: string, schema: Desc, message: MessageShape<Desc>): HttpFilter {
  return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: pack(schema, message) } });
}
