import { pseudonymAuthorityConformance } from './pseudonym-authority-conformance.ts';
import { IN_PROCESS } from './ra-side.ts';

pseudonymAuthorityConformance(IN_PROCESS);
