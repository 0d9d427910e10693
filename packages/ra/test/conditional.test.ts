import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isHeld } from '../src/conditional.ts';

const NAME = 'local_certificate_chains_01_0A.oer';

describe('isHeld', () => {
  const cases: [string | undefined, boolean, string][] = [
    [undefined, false, 'no header'],
    ['', false, 'an empty header'],
    [`"${NAME}"`, true, 'the name in quotes, as on the wiki'],
    [NAME, true, 'the bare name, as a fielded device sends it'],
    [`  "${NAME}"  `, true, 'blanks around it'],
    [`W/"${NAME}"`, true, 'a weak tag'],
    ['*', true, 'any version'],
    [`"other.oer", "${NAME}"`, true, 'a list that has it last'],
    [`${NAME},other.oer`, true, 'a list of bare names'],
    ['"other.oer" , *', true, 'a list with any version'],
    [NAME.toLowerCase(), true, 'the hex digits in lower case'],
    ['"local_certificate_chains_01_09.oer"', false, 'an older name'],
    [`"x${NAME}"`, false, 'more than the name'],
    [`"${NAME}`, false, 'a quote that does not end'],
    ['"*"', false, 'a star in quotes'],
    [',,,', false, 'an empty list'],
  ];
  for (const [header, expected, what] of cases) {
    it(`${expected ? 'knows' : 'does not know'} the file by ${what}`, () => {
      assert.equal(isHeld(header, NAME), expected);
    });
  }
});
