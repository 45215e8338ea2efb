import type { Target } from './address.ts';
import { CHECKS } from './checks.ts';
import { clusterServiceOf, quoted } from './commands.ts';
import { type Finding, fine, wrong } from './finding.ts';
import type { Failed, Resolution } from './network-probe.ts';

export function judgeResolution(hostname: string, resolution: Resolution): Finding {
  if ('addresses' in resolution) {
    const { addresses } = resolution;
    const literal = addresses.length === 1 && addresses[0] === hostname;
    return fine(
      CHECKS.dns,
      literal ? `${hostname} is an address, no name` : `${hostname} is ${addresses.join(', ')}`,
    );
  }
  const { code } = resolution;
  if (code === 'EAI_AGAIN') {
    return wrong(
      CHECKS.dns,
      `the name server did not answer (${code}): is it reachable? A network policy must allow port 53, UDP and TCP`,
      ['kubectl -n kube-system get pods -l k8s-app=kube-dns', 'kubectl get networkpolicies'],
    );
  }
  const service = clusterServiceOf(hostname);
  if (service === undefined) {
    return wrong(CHECKS.dns, `there is no ${hostname} (${code})`, [`getent hosts ${quoted(hostname)}`]);
  }
  return wrong(
    CHECKS.dns,
    `there is no ${hostname} (${code}); such names exist inside the cluster only: is the service there, and does this run in a pod?`,
    [`kubectl -n ${service.namespace} get service ${service.service}`],
  );
}

/** `ownNamespace`: where this pod runs, as far as it is known. */
export function judgeConnection(
  target: Target,
  failed: Failed | undefined,
  ownNamespace: string | undefined,
): Finding {
  const where = `${target.hostname}, port ${target.port}`;
  if (failed === undefined) return fine(CHECKS.tcp, `${where} accepts connections`);
  const service = clusterServiceOf(target.hostname);
  const policies = [ownNamespace, service?.namespace]
    .filter((name, index, all) => name !== undefined && all.indexOf(name) === index)
    .map((name) => `kubectl -n ${name} get networkpolicies -o yaml`);
  const look = policies.length === 0 ? ['kubectl get networkpolicies -o yaml'] : policies;
  if (failed.code === 'ECONNREFUSED') {
    const ends =
      service === undefined
        ? [`curl -sS ${quoted(`${target.origin}/v1/sys/health`)}`]
        : [`kubectl -n ${service.namespace} get endpoints ${service.service}`];
    return wrong(
      CHECKS.tcp,
      `${where} refuses connections (${failed.code}): nothing listens there. Does Vault run, and is the port right?`,
      ends,
    );
  }
  return wrong(
    CHECKS.tcp,
    `${where} does not answer (${failed.code}), as when a network policy is in the way: one of the service's namespace must allow egress to TCP ${target.port}, and one of Vault's namespace ingress from here`,
    look,
  );
}
