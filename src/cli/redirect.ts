// `outrigger redirect`: the rules that bring a pod's connections to its sidecar. Four commands with one set
// of options, which are Istio's: `print` shows the rules, `install` puts them in force, `verify` compares
// them with what is in force, `remove` takes them away. The heavy part is imported when one of them runs.
import type { Command } from 'commander';

const REDIRECT_ACTIONS = ['install', 'print', 'verify', 'remove', 'probe'] as const;
export type RedirectAction = (typeof REDIRECT_ACTIONS)[number];

/** Options as commander hands them over. */
export type RedirectFlags = Readonly<Record<string, string | boolean | undefined>>;

const DESCRIPTIONS: Readonly<Record<RedirectAction, string>> = {
  install: "redirect this network namespace's connections to the sidecar; again changes nothing",
  print: 'print the rules in the format of iptables-restore; needs no privileges',
  verify: 'compare the rules in force with the options: exit 0 the same, 1 with differences',
  remove: 'remove the rules, and nothing else',
  probe: 'dial out and see whether that is redirected; needs no privileges, and not to be the user of the sidecar',
};

export function register(program: Command): void {
  const redirect = program.command('redirect').description("the redirect of a pod's connections to its sidecar");
  for (const action of REDIRECT_ACTIONS) {
    const command = redirect.command(action).description(DESCRIPTIONS[action]);
    addOptions(command).action(async (flags: RedirectFlags) => {
      const { runRedirect } = await import('./redirect-run.ts');
      process.exitCode = await runRedirect(action, flags);
    });
  }
}

function addOptions(command: Command): Command {
  return command
    .option('-p, --proxy-port <port>', 'where outbound connections are redirected to', '15001')
    .option('-z, --inbound-port <port>', 'where inbound connections are redirected to', '15006')
    .option('-u, --proxy-uid <ids>', 'users whose connections are left alone: the sidecar', '1337')
    .option('-g, --proxy-gid <ids>', 'groups whose connections are left alone', '1337')
    .option('-m, --mode <mode>', 'only REDIRECT', 'REDIRECT')
    .option('-b, --inbound-ports <ports>', "inbound ports to redirect: '*', '' or a list such as 80,8000-8100", '*')
    .option('-d, --exclude-inbound-ports <ports>', 'inbound ports to leave alone', '15020,15021,15022,15090')
    .option('-q, --outbound-ports <ports>', 'outbound ports to redirect whatever their address', '')
    .option('-o, --exclude-outbound-ports <ports>', 'outbound ports to leave alone', '')
    .option('-i, --outbound-ip-ranges <ranges>', "destinations to redirect: '*', '' or a list of CIDRs", '*')
    .option('-x, --exclude-outbound-ip-ranges <ranges>', 'destinations to leave alone', '')
    .option('-c, --exclude-interfaces <names>', 'interfaces whose connections are left alone', '')
    .option('-k, --kube-virt-interfaces <names>', 'interfaces of virtual machines: what comes in is outbound', '')
    .option('--redirect-dns', 'not supported: only TCP is captured')
    .option('--family <family>', 'auto, ipv4, ipv6 or both; auto goes on without IPv6 where there is none', 'auto')
    .option('--backend <backend>', "auto, nft or legacy: which iptables; auto is the system's", 'auto')
    .option('--output <format>', 'text or json', 'text');
}
