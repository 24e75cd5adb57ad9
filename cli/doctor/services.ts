/** The services that documents name, and what the doctor says about reaching each. */

import type { Documents, GatewayConfig, ProcessorConfig } from '../../runtime/role/documents.ts';
import type { Diagnosis } from './diagnosis.ts';
import { type CertificateFacts, type ProbeResult, probe } from './http-probe.ts';
import { insideAdvice, isClusterName, isInCluster, type Vantage } from './place.ts';
import { vantageOf } from './vantage.ts';

/** A service at one URL, with everything that names it. */
export interface NamedService {
  readonly url: string;
  /** Such as `authorizer` or `destination of rule all`. */
  readonly uses: readonly string[];
  readonly objects: readonly string[];
  readonly vantage: Vantage;
  readonly timeoutMs: number;
}

interface Use {
  readonly url: string;
  readonly timeoutSeconds: number;
  readonly use: string;
}

/** The longest that is waited for a connection or for an answer. */
const mostMs = 5_000;
const soonMs = 14 * 86_400_000;
const atOnce = 8;

/** Every service that is named, once. */
export function servicesIn({ gateways, processors }: Pick<Documents, 'gateways' | 'processors'>): NamedService[] {
  const named = [
    ...gateways.flatMap(({ gateway }) => usesOfGateway(gateway.spec).map((use) => ({ use, member: gateway }))),
    ...processors.flatMap(({ processor }) =>
      usesOfProcessor(processor.spec).map((use) => ({ use, member: processor })),
    ),
  ];
  return [...Map.groupBy(named, ({ use }) => use.url)].map(([url, entries]) => ({
    url,
    uses: [...new Set(entries.map(({ use }) => use.use))],
    objects: [...new Set(entries.map(({ member }) => `${member.kind}/${member.metadata.name}`))],
    // A map has no empty groups.
    vantage: vantageOf(entries[0]?.member as (typeof named)[number]['member']),
    timeoutMs: Math.min(mostMs, ...entries.map(({ use }) => use.timeoutSeconds * 1000)),
  }));
}

function usesOfGateway({ authorizer, hooks }: GatewayConfig['gateway']['spec']): Use[] {
  return [
    ...(authorizer?.http === undefined ? [] : [{ ...authorizer.http, use: 'authorizer' }]),
    ...(hooks.connect === undefined ? [] : [{ ...hooks.connect, use: 'connect hook' }]),
    ...(hooks.disconnect === undefined ? [] : [{ ...hooks.disconnect, use: 'disconnect hook' }]),
  ];
}

function usesOfProcessor({ routing: { rules = [], rulesEngine } }: ProcessorConfig['processor']['spec']): Use[] {
  return [
    ...rules.map(({ name, destination }) => ({ ...destination, use: `destination of rule ${name}` })),
    ...(rulesEngine === undefined ? [] : [{ ...rulesEngine, use: 'rules engine' }]),
  ];
}

/** Probes all of them, a few at a time. @param onStart called with what is examined */
export async function diagnoseServices(
  services: readonly NamedService[],
  onStart: (subject: string) => void,
): Promise<Diagnosis[]> {
  const waiting = [...services.entries()];
  const results: Diagnosis[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, service] = next;
      onStart(subjectOf(service));
      results[index] = diagnose(service, await probe(service.url, service.timeoutMs), Date.now());
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
}

function subjectOf({ uses, url }: NamedService): string {
  const more = uses.length > 2 ? ` and ${uses.length - 2} more` : '';
  return `${uses.slice(0, 2).join(', ')}${more} ${withoutQuery(url)}`;
}

/** A query may carry a secret. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*$/, '');
}

/** What the result of a probe means. */
function diagnose(service: NamedService, result: ProbeResult, nowMs: number): Diagnosis {
  const { objects, vantage, url } = service;
  const { hostname, port, protocol } = new URL(url);
  const where = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
  const about = { objects, subject: subjectOf(service) };
  switch (result.kind) {
    case 'answered':
      return { ...about, ...answered(result.status, result.certificate, nowMs) };
    case 'unresolved':
      if (isClusterName(hostname) && !isInCluster()) {
        const message = `${hostname} does not resolve here (${result.reason}); if it is a service in the cluster, that is as it should be.`;
        return { ...about, health: 'unchecked', message, cure: insideAdvice(vantage) };
      }
      return {
        ...about,
        health: 'problem',
        message: `The name ${hostname} does not resolve: ${result.reason}.`,
        cure: isInCluster()
          ? 'correct the URL; the name of a service in another namespace is SERVICE.NAMESPACE, and the service must exist'
          : 'correct the URL, or create the DNS record',
      };
    case 'unconnected':
      return {
        ...about,
        health: 'problem',
        message: `Nothing accepts connections at ${where}: ${result.reason}.`,
        cure: 'start the service or correct the port; if it runs, look for a network policy or a firewall on the way',
      };
    case 'insecure':
      return { ...about, health: 'problem', ...insecure(where, result) };
    case 'silent':
      return {
        ...about,
        health: 'problem',
        message: `${where} accepts connections, but gives no HTTP answer to OPTIONS: ${result.reason}.`,
        cure: 'look at the log of the service; if it speaks HTTPS, the URL must begin with https://',
      };
  }
}

function answered(
  status: number,
  certificate: CertificateFacts | undefined,
  nowMs: number,
): Pick<Diagnosis, 'health' | 'message' | 'cure'> {
  const leftMs = certificate === undefined ? Number.POSITIVE_INFINITY : certificate.validTo.getTime() - nowMs;
  if (certificate !== undefined && leftMs < soonMs) {
    const message = `Reached, but its certificate for ${certificate.names} expires on ${day(certificate.validTo)}.`;
    return { health: 'warning', message, cure: 'renew the certificate' };
  }
  if (status >= 500) {
    return {
      health: 'warning',
      message: `Reached: it answers ${status} to OPTIONS, as it or a proxy in front of it does when it is not well.`,
      cure: 'look at the log of the service; nothing needs to be done if it only does not know OPTIONS',
    };
  }
  const until =
    certificate === undefined
      ? ''
      : `, its certificate for ${certificate.names} is valid until ${day(certificate.validTo)}`;
  return { health: 'ok', message: `Reached: it answers ${status} to OPTIONS${until}.` };
}

function insecure(
  where: string,
  { code, reason, certificate }: Extract<ProbeResult, { kind: 'insecure' }>,
): Pick<Diagnosis, 'message' | 'cure'> {
  if (certificate === undefined) {
    return {
      message: `${where} accepts connections but not TLS: ${reason}.`,
      cure: 'if the service speaks plain HTTP, the URL must begin with http://',
    };
  }
  const { names, issuer, validFrom, validTo } = certificate;
  if (code === 'CERT_HAS_EXPIRED') {
    return { message: `The certificate of ${where} expired on ${day(validTo)}.`, cure: 'renew the certificate' };
  }
  if (code === 'CERT_NOT_YET_VALID') {
    return {
      message: `The certificate of ${where} is not valid before ${day(validFrom)}.`,
      cure: 'check the clock of the machine that issued it, and of this one',
    };
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return {
      message: `The certificate of ${where} is for another name: ${names}.`,
      cure: 'call the service by a name of its certificate, or issue one for the name in the URL',
    };
  }
  return {
    message: `The certificate of ${where} for ${names}, issued by ${issuer}, is not trusted: ${reason}.`,
    cure: 'use a certificate of an authority that Node trusts, or name its file in NODE_EXTRA_CA_CERTS (spec.template.env)',
  };
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
