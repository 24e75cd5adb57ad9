/** Which web origins may do something: those of clients (`allowedOrigins`) and of the management API. */

/**
 * @param origin as a browser sends it (RFC 6454 section 7.3)
 * @param allowed exact origins, or `https://*.example.com` for every host below a domain
 */
export function isOriginNamed(origin: string, allowed: readonly string[]): boolean {
  const candidate = origin.toLowerCase();
  return allowed.some((entry) => {
    const pattern = entry.toLowerCase();
    const star = pattern.indexOf('://*.');
    if (star < 0) return pattern === candidate;
    const scheme = pattern.slice(0, star + 3);
    return candidate.startsWith(scheme) && candidate.endsWith(pattern.slice(star + 4)) && isHost(candidate, scheme);
  });
}

function isHost(origin: string, scheme: string): boolean {
  return /^[a-z0-9.-]+(?::\d+)?$/.test(origin.slice(scheme.length));
}
