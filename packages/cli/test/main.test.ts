import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { run } from './run-main.ts';

const COMMANDS =
  'init serve worker migrate status device blacklist audit authority enroll ee inspect ma policy simulate crl tls keys backup restore copy';

describe('chrysalis', () => {
  it('tells of all commands, in one order', async () => {
    const { status, stdout } = await run(['--help']);
    assert.equal(status, 0);
    const told = stdout.match(/^ {2}[a-z]+(?= [[ ])/gm)?.map((name) => name.trim());
    assert.deepEqual(told, [...COMMANDS.split(' '), 'help']);
    assert.equal((await run(['help'])).stdout, stdout);
    assert.equal((await run(['serve', '--help', '--help'])).status, 0);
  });

  for (const name of COMMANDS.split(' ')) {
    it(`knows ${name} when it loads no other`, async () => {
      const { status, stderr } = await run([name, '--no-such-option']);
      assert.equal(status, 2);
      assert.match(stderr, /^chrysalis: (unknown|required) option/);
    });
  }

  it('takes the name of a command for an option’s value where it is one', async () => {
    const { status, stderr } = await run(['--dir', 'serve', 'serve', '--no-such-option']);
    assert.equal(status, 2);
    assert.match(stderr, /unknown option/);
    assert.match((await run(['--dir', 'status', 'serve', '--nope'])).stderr, /unknown option/);
  });

  it('says what a wrong name may have meant', async () => {
    const { status, stderr } = await run(['sevre']);
    assert.equal(status, 2);
    assert.match(stderr, /unknown command 'sevre'\n\(Did you mean serve\?\)/);
  });
});
