// Under which names the control service may show itself. A given signer may be constrained in the names that it signs for
// (RFC 5280 section 4.2.1.10), and one that it may not would cost the certificate all others: those are left out.
import type { AuthorityMaterial } from './ca/authority-material.ts';
import { peerFault } from './ca/signer-trial.ts';
import { makeServerCertificate, type ServerCertificate } from './server-certificate.ts';

export interface NamedCertificate {
  readonly certificate: ServerCertificate;
  readonly names: readonly string[];
  readonly leftOut: readonly string[];
}

/** Rejects when peers would take the certificate under none of the names, with the reason. */
export async function makeNamedCertificate(
  material: AuthorityMaterial,
  names: readonly string[],
  nowMs: number,
): Promise<NamedCertificate> {
  const certificate = await makeServerCertificate(material, names, nowMs);
  const fault = await faultOf(certificate, material);
  if (fault === '') return { certificate, names, leftOut: [] };
  const taken: string[] = [];
  for (const name of names)
    if ((await faultOf(await makeServerCertificate(material, [name], nowMs), material)) === '') taken.push(name);
  if (taken.length === 0) {
    const told = names.join(', ');
    throw new Error(
      `ca-cert.pem: may sign for none of the names of the control service (${told}): peers would say "${fault}"; ` +
        'write a signer that may, or give a name that it may sign for: --secure-name',
    );
  }
  const leftOut = names.filter((name) => !taken.includes(name));
  return { certificate: await makeServerCertificate(material, taken, nowMs), names: taken, leftOut };
}

async function faultOf({ chainPem, keyPem }: ServerCertificate, { roots }: AuthorityMaterial): Promise<string> {
  return await peerFault({ chainPem, keyPem, rootsPem: roots.map(({ pem }) => pem), isForBoth: false });
}
