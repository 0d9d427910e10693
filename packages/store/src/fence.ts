/** Whether a database in a file is copied, or was: what a process asks that has no other business with it. */
export { FenceWatch } from './fence-watch.ts';
