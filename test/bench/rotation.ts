// `node test/bench/rotation.ts [--minutes N] [--rps N] [--certificate-seconds N] [--concurrency N] [--root]`: steady traffic
// over mutual TLS while certificates rotate, and with --root the root of the mesh in stages, too. Exit code 1 when a
// request failed, or when nothing was rotated.
import { parseArgs } from 'node:util';
import { runRotation } from '../support/rotation.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rps: { type: 'string', default: '1000' },
    'certificate-seconds': { type: 'string', default: '60' },
    concurrency: { type: 'string', default: '1' },
    root: { type: 'boolean', default: false },
  },
});

const seconds = Number(values.minutes) * 60;
const { load, certificates, roots, handshakes } = await runRotation({
  certificateSeconds: Number(values['certificate-seconds']),
  seconds,
  perSecond: Number(values.rps),
  rotatesRoot: values.root ? 'forced' : 'never',
  concurrency: Number(values.concurrency),
});
const { sent, succeeded, failures } = load;
process.stdout.write(
  `${sent} requests in ${seconds} s, ${sent - succeeded} failed; certificates ${certificates.join(' and ')}; ` +
    `sets of roots ${roots.join(', ')}; ${handshakes} handshakes\n`,
);
for (const [what, count] of failures) process.stdout.write(`${count}: ${what}\n`);
const hasRotated = Math.min(...certificates) > 1 && (!values.root || roots.length === 3);
process.exitCode = sent === succeeded && hasRotated ? 0 : 1;
