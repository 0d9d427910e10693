import { createMemoryObjectStore } from '../src/memory-object-store.ts';
import { objectStoreConformance } from './object-store-conformance.ts';

objectStoreConformance('memory', async () => createMemoryObjectStore());
