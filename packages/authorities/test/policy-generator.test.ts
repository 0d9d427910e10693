import { policyGeneratorConformance } from './policy-generator-conformance.ts';
import { IN_PROCESS } from './ra-side.ts';

policyGeneratorConformance(IN_PROCESS);
