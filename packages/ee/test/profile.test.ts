import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemRandom } from '@chrysalis/crypto';
import { generateCaterpillarKeys, Profile, type ProvisioningState } from '../src/index.ts';
import { MemoryStorage } from './memory-storage.ts';

const PREPARED: ProvisioningState = {
  keys: generateCaterpillarKeys(systemRandom),
  bodies: [Uint8Array.of(1, 2), Uint8Array.of(3)],
};
const ACKNOWLEDGED: ProvisioningState = {
  ...PREPARED,
  acknowledged: {
    requestHash: new Uint8Array(8).fill(5),
    certDLTime: 7,
    certDLURL: 'https://ra.test',
    octets: Uint8Array.of(9),
  },
};

describe('Profile', () => {
  it('gives a provisioning state back as it was', async () => {
    for (const state of [PREPARED, ACKNOWLEDGED]) {
      const profile = new Profile(new MemoryStorage());
      assert.equal(await profile.provisioning('pseudonym'), undefined);
      await profile.saveProvisioning('pseudonym', state);
      const read = await profile.provisioning('pseudonym');
      assert.deepEqual(read, state);
      // Secrets compare by what they hold inside, which deepEqual does not see.
      const scalars = [read, state].map((s) => Buffer.from(s!.keys.verify.seed.scalar().reveal()));
      assert.deepEqual(scalars[0], scalars[1]);
    }
  });

  it('says which file and field is damaged, and never shows a key', async () => {
    const storage = new MemoryStorage();
    const profile = new Profile(storage);
    await profile.saveProvisioning('pseudonym', ACKNOWLEDGED);
    const good = Buffer.from(storage.files.get('provisioning.json')!).toString();
    const seed = /"seed": "([0-9a-f]{64})"/.exec(good)![1]!;
    const cases: [string, RegExp][] = [
      ['', /provisioning.json: expected JSON/],
      [good.slice(0, -20), /expected JSON/],
      ['[]', /expected an object/],
      [good.replace('"format": 1', '"format": 9'), /expected format 1, saw 9/],
      [good.replace(seed, seed.slice(2)), /seed: expected 32 octets in hex/],
      [good.replace(seed, '00'.repeat(32)), /seed: expected a private key/],
      [good.replace(`"${seed}"`, '17'), /seed: expected a string, saw number/],
      [good.replace('"certDLTime": 7', '"certDLTime": "7"'), /certDLTime: expected an integer/],
      [good.replace('"0102"', '"0x02"'), /bodies: expected any number of octets in hex/],
    ];
    for (const [text, message] of cases) {
      storage.files.set('provisioning.json', new TextEncoder().encode(text));
      await assert.rejects(profile.provisioning('pseudonym'), (error: Error) => {
        assert.equal((error as { code?: string }).code, 'profile-damaged');
        assert.match(error.message, message);
        assert(!error.message.includes(seed.slice(2, 20)));
        return true;
      });
    }
  });

  it('lists periods by number, and knows its own names only', async () => {
    const storage = new MemoryStorage();
    for (const name of ['26B.zip', '9.zip', '26B.part', '.x.zip', '26b.zip', '123456789.zip']) {
      storage.files.set(`batches/${name}`, new Uint8Array(1));
    }
    assert.deepEqual(await new Profile(storage).certificates('pseudonym').held(), [9, 0x26b]);
  });
});
