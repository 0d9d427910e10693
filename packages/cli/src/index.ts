/** `chrysalis`, the command line, for programs that run it in their own process. */
export { type ChrysalisConfig, loadConfig } from './config.ts';
export { type CliContext, CliError, type TextOutput } from './context.ts';
export { main } from './main.ts';
export { systemContext } from './system-context.ts';
