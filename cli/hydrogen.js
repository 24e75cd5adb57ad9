#!/usr/bin/env node
// Starts the command from the sources of a clone, or from the built files of an installed package.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `hydrogen needs Node 22.19 or newer, this is ${process.version}. In a clone: npm ci && npx hydrogen-gateway-cli`,
  );
  process.exit(2);
}
const source = new URL('./main.ts', import.meta.url);
const built = new URL('../build/cli/main.js', import.meta.url);
const { main } = await import((existsSync(fileURLToPath(source)) ? source : built).href);
process.exitCode = await main(process.argv.slice(2));
