#!/usr/bin/env node
/**
 * The executable. Plain JavaScript, as is what it loads first: what strips types from TypeScript is a part of Node that takes 50 ms
 * to load, and is not needed where all that is stripped lies in the cache.
 */
import { problemOf } from './node-version.js';

const problem = problemOf(process.versions.node);
if (problem !== undefined) {
  console.error(`chrysalis: ${problem}: ${process.execPath}`);
  process.exit(1);
}

// Not static imports: what is loaded before the cache is there is made anew each time, and an older Node would not come so far.
await import('./compile-cache.js');
const { systemContext } = await import('./system-context.ts');
const { main } = await import('./main.ts');

process.exitCode = await main(process.argv.slice(2), systemContext());
