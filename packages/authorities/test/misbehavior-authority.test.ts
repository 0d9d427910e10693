import { misbehaviorAuthorityConformance } from './misbehavior-authority-conformance.ts';
import { IN_PROCESS } from './ra-side.ts';

misbehaviorAuthorityConformance(IN_PROCESS);
