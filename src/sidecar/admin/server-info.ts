// `/server_info` and `/memory`: what this process is and holds, as Envoy writes it.
import { toJson } from '@bufbuild/protobuf';
import { NodeSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { extensions } from '../bootstrap-registry.ts';
import { json, type AdminEndpoint } from './endpoint.ts';

export const serverInfo: AdminEndpoint = {
  path: '/server_info',
  isPostOnly: false,
  help: 'print server version/status information',
  parameters: [],
  answer: ({ source }) => {
    const { identity } = source;
    const { node } = source.bootstrap().message;
    const uptime = `${Math.max(0, Math.floor((Date.now() - identity.startedMs) / 1000))}s`;
    const written =
      node === undefined ? {} : toJson(NodeSchema, node, { registry: extensions, useProtoFieldName: true });
    return json({
      version: `outrigger/${identity.version}/Clean/RELEASE/node-${process.versions.node}`,
      state: source.state(),
      uptime_current_epoch: uptime,
      uptime_all_epochs: uptime,
      hot_restart_version: 'disabled',
      command_line_options: identity.commandLine,
      node: {
        ...(typeof written === 'object' && !Array.isArray(written) ? written : {}),
        id: identity.nodeId,
        cluster: identity.nodeCluster,
        user_agent_name: 'outrigger',
      },
    });
  },
};

export const memory: AdminEndpoint = {
  path: '/memory',
  isPostOnly: false,
  help: 'print current allocation/heap usage',
  parameters: [],
  answer: () => {
    const { heapUsed, heapTotal, external, rss } = process.memoryUsage();
    return json({
      allocated: String(heapUsed + external),
      heap_size: String(heapTotal),
      pageheap_unmapped: '0',
      pageheap_free: String(Math.max(0, heapTotal - heapUsed)),
      total_thread_cache: '0',
      total_physical_bytes: String(rss),
    });
  },
};
