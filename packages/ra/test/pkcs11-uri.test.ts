import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePkcs11Uri, TokenError } from '@chrysalis/ra/pkcs11';

describe('a PKCS #11 URI', () => {
  it('names token, key, library and PIN file, percent-encoded', () => {
    assert.deepEqual(
      parsePkcs11Uri(
        'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil%2c%20Inc.;' +
          'model=1.0;serial=00;object=ra%3bkey;id=%01%FFa;type=private' +
          '?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/ra.pin',
      ),
      {
        token: {
          token: 'The Software PKCS#11 Softtoken',
          manufacturer: 'Snake Oil, Inc.',
          model: '1.0',
          serial: '00',
        },
        object: 'ra;key',
        id: Uint8Array.of(1, 0xff, 0x61),
        modulePath: '/usr/lib/softhsm/libsofthsm2.so',
        pinFile: '/etc/ra.pin',
      },
    );
    assert.equal(parsePkcs11Uri('pkcs11:token=a;id=%02?pin-source=pin').pinFile, 'pin');
    assert.equal(parsePkcs11Uri('pkcs11:token=a;id=%02?pin-source=file:///p').pinFile, '/p');
  });

  const refused: Readonly<Record<string, RegExp>> = {
    'file:/ra.key': /begins with pkcs11:/,
    [`pkcs11:token=${'a'.repeat(1024)};object=b`]: /up to 1024 characters/,
    'pkcs11:object=ra': /expected token=/,
    'pkcs11:token=a': /expected object=… or id=…/,
    'pkcs11:token=a;object=b;object=c': /object once/,
    'pkcs11:token=a;object=b;type=public': /type=private/,
    'pkcs11:token=a;slot-id=1;object=b': /expected attributes of token/,
    'pkcs11:token=a;object=b?module-name=softhsm2': /expected attributes of module-path/,
    'pkcs11:token=a;object=b?pin-source=|cat%20/pin': /pin-source=file:PATH/,
    'pkcs11:token=a;object=b?pin-source=https://example.com/pin': /pin-source=file:PATH/,
    'pkcs11:token=a;object=b?a?b': /one question mark/,
    'pkcs11:token=a;object=%2': /two hex digits/,
    'pkcs11:token=a;object=%ff': /UTF-8/,
  };
  for (const [uri, message] of Object.entries(refused)) {
    it(`is refused: ${uri.slice(0, 60)}`, () => {
      assert.throws(() => parsePkcs11Uri(uri), {
        name: 'TokenError',
        code: 'malformed-uri',
        message,
      });
    });
  }

  it('is refused with a PIN in it, and the refusal does not repeat it', () => {
    for (const uri of [
      'pkcs11:token=a;object=b?pin-value=918273',
      'pkcs11:token=a;object=b;pin-value=918273',
      'pkcs11:token=a;object=b?pin-source=https:918273',
    ]) {
      assert.throws(
        () => parsePkcs11Uri(uri),
        (error) => error instanceof TokenError && !`${error.stack}${error.hint}`.includes('918273'),
      );
    }
  });
});
