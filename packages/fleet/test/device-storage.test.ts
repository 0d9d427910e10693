import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sha256, systemRandom } from '@chrysalis/crypto';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { Fleet } from '../src/index.ts';

async function newDirectory(): Promise<string> {
  const directory = temporaryDirectory();
  return directory;
}

const octets = (text: string) => new TextEncoder().encode(text);

describe('Fleet', () => {
  it('keeps its seed, and is one process’s at a time', async () => {
    const directory = await newDirectory();
    await assert.rejects(Fleet.open(directory), { code: 'fleet-missing' });
    const fleet = await Fleet.open(directory, { create: systemRandom });
    const { seed } = fleet;
    await assert.rejects(Fleet.open(directory), { code: 'profile-locked' });
    await fleet.close();
    await using again = await Fleet.open(directory, { create: () => assert.fail('another seed') });
    assert.deepEqual(again.seed, seed);
  });
});

describe('DeviceStorage', () => {
  it('has after another opening what was written before, each device its own', async () => {
    const directory = await newDirectory();
    {
      await using fleet = await Fleet.open(directory, { create: systemRandom, keepsZips: true });
      const [one, other] = [await fleet.storage(1), await fleet.storage(2)];
      await one.write('provisioning.json', octets('one'));
      await one.write('provisioning.json', octets('one, replaced'));
      await one.write('settings.json', octets('gone'));
      await one.remove('settings.json');
      await one.write('batches/1A9.zip', octets('zip'));
      await other.write('provisioning.json', octets('other'));
    }
    await using fleet = await Fleet.open(directory);
    const storage = await fleet.storage(1);
    assert.deepEqual(await storage.read('provisioning.json'), octets('one, replaced'));
    assert.equal(await storage.read('settings.json'), undefined);
    assert.deepEqual(await storage.read('batches/1A9.zip'), octets('zip'));
    assert.deepEqual(await storage.list('batches'), ['1A9.zip']);
    assert.deepEqual(await (await fleet.storage(2)).read('provisioning.json'), octets('other'));
    assert.deepEqual(await fleet.batches(1), [
      { device: 1, i: 0x1a9, digest: sha256(octets('zip')) },
    ]);
    await storage.remove('batches/1A9.zip');
    assert.deepEqual(await fleet.batches(1), [{ device: 1, i: 0x1a9, digest: null }]);
    assert.deepEqual(await storage.list('batches'), []);
  });

  it('writes what devices have alike once, and what one has otherwise for it alone', async () => {
    const directory = await newDirectory();
    {
      await using fleet = await Fleet.open(directory, { create: systemRandom });
      const storages = await Promise.all([0, 1, 2].map((device) => fleet.storage(device)));
      // At the same time: whoever comes second may not be told before the first one's octets are durable.
      await Promise.all(
        storages.map((storage, n) =>
          storage.write('bundle/certificates/ra.oer', octets(n === 2 ? 'another' : 'common')),
        ),
      );
      await storages[0]!.write('bundle/bootstrap.json', octets('complete'));
    }
    await using fleet = await Fleet.open(directory);
    const read = async (device: number, name: string) =>
      new TextDecoder().decode(await (await fleet.storage(device)).read(`bundle/${name}`));
    assert.equal(await read(0, 'certificates/ra.oer'), 'common');
    assert.equal(await read(1, 'certificates/ra.oer'), 'common');
    assert.equal(await read(2, 'certificates/ra.oer'), 'another');
    // A bundle is complete for the device that completed it.
    assert.deepEqual(await fleet.enrolled(), [0]);
    assert.equal(await read(1, 'bootstrap.json'), '');
  });

  it('keeps partial downloads for the contact', async () => {
    await using fleet = await Fleet.open(await newDirectory(), { create: systemRandom });
    const storage = await fleet.storage(0);
    await storage.write('batches/1A9.etag', octets('"x"'));
    await storage.append('batches/1A9.part', octets('ab'));
    await storage.append('batches/1A9.part', octets('cd'));
    assert.deepEqual(await storage.read('batches/1A9.part'), octets('abcd'));
    assert.equal(await (await fleet.storage(0)).read('batches/1A9.part'), undefined);
    await storage.remove('batches/1A9.part');
    assert.equal(await storage.read('batches/1A9.part'), undefined);
    await assert.rejects(storage.append('provisioning.json', octets('x')), TypeError);
  });
});
