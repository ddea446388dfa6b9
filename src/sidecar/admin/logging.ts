// `/logging`: shows the log level and changes it. There is one logger, so Envoy's `paths` and its
// per-name form all set that one; the names are listed as Envoy's tools expect to see them.
import { LOG_LEVELS, type LogLevel } from '../../base/log.ts';
import type { Log } from '../../base/log.ts';
import { text, type AdminEndpoint } from './endpoint.ts';

/** The names that people and istioctl set; all of them are the one logger. */
const NAMES = [
  'admin',
  'client',
  'config',
  'connection',
  'dns',
  'filter',
  'http',
  'main',
  'pool',
  'router',
  'upstream',
];

const USAGE = `usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
levels: ${LOG_LEVELS.join(' ')}
`;

export const logging: AdminEndpoint = {
  path: '/logging',
  isPostOnly: true,
  help: 'query/change logging levels',
  parameters: [
    ['level', `the level of the logger; one of (${LOG_LEVELS.join(', ')})`],
    ['paths', 'name1:level1,name2:level2: the last one holds, for there is one logger'],
  ],
  answer: ({ source, query }) => {
    const { log } = source;
    for (const wanted of wantedLevels(query)) {
      const level = LOG_LEVELS.find((one) => one === wanted);
      if (level === undefined) return text(`error: unknown logger level\n\n${USAGE}${active(log)}`, 400);
      apply(log, level);
    }
    return text(active(log));
  },
};

function wantedLevels(query: ReadonlyMap<string, string>): readonly string[] {
  const wanted: string[] = [];
  for (const [key, value] of query) {
    if (key === 'paths' || key === 'group') {
      for (const pair of value.split(',')) wanted.push(pair.slice(pair.lastIndexOf(':') + 1));
    } else if (value !== '' || key !== 'level') {
      wanted.push(value);
    }
  }
  // `warn` is what spdlog and therefore Envoy's users also write.
  return wanted.map((level) => (level === 'warn' ? 'warning' : level));
}

function apply(log: Log, level: LogLevel): void {
  log.setLevel(level);
}

function active(log: Log): string {
  return `active loggers:\n${NAMES.map((name) => `  ${name}: ${log.level}\n`).join('')}\n`;
}
