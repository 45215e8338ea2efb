import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VaultClient } from '../../lib/vault/client.ts';
import { clockOffset } from '../../lib/vault/clock-offset.ts';

const NOW = Date.UTC(2026, 10, 30, 12, 0, 0, 250);
const ms = (max: number) => fc.integer({ min: 0, max });
/** What Vault writes at a moment of its clock. */
const dated = (moment: number) => Math.floor(moment / 1_000) * 1_000;

describe('the offset of Vault’s clock', () => {
  it('is nothing where the clocks agree, however long answers take', () => {
    fc.assert(
      fc.property(ms(1_000), ms(3_600_000), ms(3_600_000), (fraction, before, after) => {
        const sentAt = NOW + fraction;
        const date = dated(sentAt + before);
        expect(clockOffset(0, { date, sentAt, receivedAt: sentAt + before + after })).toBe(0);
      }),
    );
  });

  it('is within a second of the truth after a quick answer, whatever it was taken for', () => {
    const offset = fc.integer({ min: -86_400_000, max: 86_400_000 });
    fc.assert(
      fc.property(offset, offset, ms(1_000), (truth, known, fraction) => {
        const sentAt = NOW + fraction;
        const answer = { date: dated(sentAt + truth + 5), sentAt, receivedAt: sentAt + 10 };
        expect(Math.abs(clockOffset(known, answer) - truth)).toBeLessThanOrEqual(1_010);
      }),
    );
  });

  it('is never further from the truth than before', () => {
    const offset = fc.integer({ min: -86_400_000, max: 86_400_000 });
    fc.assert(
      fc.property(offset, offset, ms(60_000), ms(60_000), (truth, known, before, after) => {
        const answer = { date: dated(NOW + before + truth), sentAt: NOW, receivedAt: NOW + before + after };
        const learned = clockOffset(known, answer);
        expect(Math.abs(learned - truth)).toBeLessThanOrEqual(Math.abs(known - truth));
      }),
    );
  });
});

describe('the client', () => {
  it('does not turn its clock back because it was frozen in the middle of a request', async () => {
    let now = NOW;
    const client = new VaultClient({
      now: () => now,
      transport: {
        exchange: async () => {
          const date = new Date(now).toUTCString();
          now += 7_200_000;
          return { status: 200, headers: { date }, body: '{"data":{}}' };
        },
        close: async () => {},
      },
    });
    await client.request({ method: 'GET', path: 'sys/health', repeatable: true });
    expect(client.now()).toBe(now);
  });
});
