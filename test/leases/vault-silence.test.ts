import { expect, it } from 'vitest';
import { VaultSilence } from '../../lib/leases/vault-silence.ts';

it('asks only after three on end, so that one slow engine costs no question', async () => {
  let asked = 0;
  const silence = new VaultSilence(async () => {
    asked += 1;
    return false;
  });

  expect([await silence.unheard(), await silence.unheard()]).toEqual([false, false]);
  silence.heard();
  expect([await silence.unheard(), await silence.unheard(), asked]).toEqual([false, false, 0]);
  expect([await silence.unheard(), asked]).toEqual([true, 1]);
});

it('asks once for all that are left unanswered together', async () => {
  let asked = 0;
  const silence = new VaultSilence(async () => {
    asked += 1;
    return false;
  });

  const told = await Promise.all(Array.from({ length: 8 }, () => silence.unheard()));

  expect(told).toEqual([false, false, ...Array.from({ length: 6 }, () => true)]);
  expect(asked).toBe(1);
});

it('begins to count anew once Vault has answered the question', async () => {
  let asked = 0;
  const silence = new VaultSilence(async () => {
    asked += 1;
    return true;
  });

  for (let n = 0; n < 6; n += 1) expect(await silence.unheard()).toBe(false);
  expect(asked).toBe(2);
});
