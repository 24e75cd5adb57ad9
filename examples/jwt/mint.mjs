// Prints a token as an issuer would give it to a client that has logged in:
//
//   node examples/jwt/mint.mjs alice news,team-7 [SECONDS]
//
// The first time, it makes a key pair. The private key stays in keys/, the public one goes into secrets/, where
// `hydrogen dev` finds it as the secret `feed-issuer`. Git knows neither folder.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';

const [user, channels = '', seconds = '3600'] = process.argv.slice(2);
if (!user) {
  console.error('usage: node examples/jwt/mint.mjs USER [CHANNEL,CHANNEL...] [SECONDS]');
  process.exit(2);
}
const folder = process.env.JWT_EXAMPLE_FOLDER ?? import.meta.dirname;
const privateFile = join(folder, 'keys/private.json');
const publicFile = join(folder, 'secrets/feed-issuer/jwks.json');

const jwk = await readFile(privateFile, 'utf8').then(JSON.parse, makeKeys);
const token = await new SignJWT({ channels: channels.split(',').filter((channel) => channel !== '') })
  .setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid })
  .setIssuer('https://issuer.example/')
  .setAudience('feed')
  .setSubject(user)
  .setIssuedAt()
  .setExpirationTime(`${seconds}s`)
  .sign(await importJWK(jwk, 'EdDSA'));
console.log(token);

async function makeKeys(error) {
  if (error.code !== 'ENOENT') throw error;
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { extractable: true });
  const open = { ...(await exportJWK(publicKey)), alg: 'EdDSA', use: 'sig' };
  const kid = await calculateJwkThumbprint(open);
  const secret = { ...(await exportJWK(privateKey)), kid };
  await Promise.all([privateFile, publicFile].map((file) => mkdir(dirname(file), { recursive: true })));
  await writeFile(publicFile, JSON.stringify({ keys: [{ ...open, kid }] }));
  await writeFile(privateFile, JSON.stringify(secret), { mode: 0o600 });
  return secret;
}
