#!/usr/bin/env node
/** The executable. */
import { main } from './main.ts';
import { systemContext } from './system-context.ts';

process.exitCode = await main(process.argv.slice(2), systemContext());
