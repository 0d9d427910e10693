import { linkageAuthorityConformance } from './linkage-authority-conformance.ts';
import { IN_PROCESS } from './ra-side.ts';

linkageAuthorityConformance(IN_PROCESS);
