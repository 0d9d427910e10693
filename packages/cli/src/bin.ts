#!/usr/bin/env node
/** The executable. */
import './compile-cache.ts';

// Not static imports: what is loaded before the cache is there is made anew each time.
const { systemContext } = await import('./system-context.ts');
const { main } = await import('./main.ts');

process.exitCode = await main(process.argv.slice(2), systemContext());
