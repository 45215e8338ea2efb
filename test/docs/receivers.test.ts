import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Outcome } from '../../lib/bus/events.ts';
import { eventBody } from '../../lib/notices/dispatch.ts';
import { createSigningSecret, headers } from '../../lib/notices/signature.ts';
import { examples } from '../bus/examples.ts';
import {
  type AskedLeasekeeper,
  askedLeasekeeper,
  canRun,
  pages,
  type RunningReceiver,
  runReceiver,
} from './documented-receiver.ts';

const secret = createSigningSecret(randomBytes);
const nowSeconds = () => Math.floor(Date.now() / 1000);

/** Every test has a path of its own, so that none sees what another has done. */
const paths = ['starts', 'repeats', 'orders', 'misses', 'waits', 'overlaps', 'refuses'] as const;
type Name = (typeof paths)[number];

function rotated(name: Name | 'foreign', generation: number, id = `evt_${name}_${generation}`): Outcome {
  const { data, ...event } = examples['secret.rotated'];
  return { ...event, id, data: { ...data, path: `shared/${name}`, generation } };
}

describe.each(pages.map((page) => ({ ...page, skip: !canRun(page) })))(
  'the receiver of docs/receivers/$page',
  ({ skip, ...page }) => {
    let leasekeeper: AskedLeasekeeper;
    let receiver: RunningReceiver;

    beforeAll(async () => {
      if (skip) return;
      leasekeeper = await askedLeasekeeper();
      for (const name of paths) leasekeeper.generations.set(`shared/${name}`, 3);
      receiver = await runReceiver(page, {
        LEASEKEEPER_SIGNING_SECRET: secret,
        LEASEKEEPER_URL: leasekeeper.url,
        SECRET_PATHS: paths.map((name) => `shared/${name}`).join(','),
        VAULT_ROLE: 'api-gateway',
      });
      for (const name of paths) await receiver.printed(inUse(name, 3));
    });

    afterAll(async () => {
      await receiver?.[Symbol.asyncDispose]();
      await leasekeeper?.[Symbol.asyncDispose]();
    });

    const inUse = (name: Name, generation: number) => `in use: shared/${name} generation ${generation}`;
    const asked = (name: string) => leasekeeper.asked.filter((url) => url.includes(`shared/${name}?`));
    const count = (line: string) => receiver.lines.filter((one) => one === line).length;

    async function post(body: string, signed: Readonly<Record<string, string>>): Promise<number> {
      return (await fetch(receiver.url, { method: 'POST', headers: signed, body })).status;
    }
    function send(event: Outcome, { secrets = [secret], at = nowSeconds() } = {}): Promise<number> {
      const body = eventBody(event);
      return post(body, headers({ id: event.id, timestampSeconds: at, body, secrets }));
    }
    /** Whatever came before this has been worked on. */
    async function afterAnother(id: string): Promise<void> {
      expect(await send({ ...examples['secret.drift'], id })).toBe(204);
      await receiver.printed(`told: secret.drift ${id}`);
    }

    it.skipIf(skip)('asks for the current generation when it starts, as its service', () => {
      expect(asked('starts')).toEqual(['/v1/secrets/shared/starts?generation=current']);
    });

    it.skipIf(skip)('takes a new generation, and drops the same notice when it comes again', async () => {
      leasekeeper.generations.set('shared/repeats', 4);
      expect(await send(rotated('repeats', 4))).toBe(204);
      await receiver.printed(inUse('repeats', 4));
      leasekeeper.generations.set('shared/repeats', 5);
      // One that lies about its generation, or only the id would not matter.
      expect(await send(rotated('repeats', 5, 'evt_repeats_4'))).toBe(204);

      const told = { ...examples['lease.lost'], id: 'evt_lost_once' };
      expect(await send(told)).toBe(204);
      expect(await send(told)).toBe(204);
      await afterAnother('evt_after_repeats');

      expect(count('told: lease.lost evt_lost_once')).toBe(1);
      expect(asked('repeats')).toHaveLength(2);
    });

    it.skipIf(skip)('ignores a generation not above its own, and paths that are not its own', async () => {
      expect(await send(rotated('orders', 3))).toBe(204);
      expect(await send(rotated('orders', 2))).toBe(204);
      expect(await send(rotated('foreign', 9))).toBe(204);
      await afterAnother('evt_after_orders');

      expect(asked('orders')).toHaveLength(1);
      expect(asked('foreign')).toEqual([]);
    });

    it.skipIf(skip)('takes the current generation when it has missed some', async () => {
      leasekeeper.generations.set('shared/misses', 7);
      expect(await send(rotated('misses', 5))).toBe(204);
      await receiver.printed(inUse('misses', 7));
      for (const late of [4, 6, 7]) expect(await send(rotated('misses', late))).toBe(204);
      await afterAnother('evt_after_misses');

      expect(asked('misses')).toHaveLength(2);
      expect(receiver.lines.filter((line) => line.includes('shared/misses'))).toEqual([
        inUse('misses', 3),
        inUse('misses', 7),
      ]);
    });

    it.skipIf(skip)('answers before it works', async () => {
      leasekeeper.held.add('shared/waits');
      leasekeeper.generations.set('shared/waits', 4);
      expect(await send(rotated('waits', 4))).toBe(204);
      expect(count(inUse('waits', 4))).toBe(0);
      leasekeeper.held.delete('shared/waits');
      await receiver.printed(inUse('waits', 4));
    });

    it.skipIf(skip)('accepts one of two signatures, first or second', async () => {
      const other = createSigningSecret(randomBytes);
      leasekeeper.generations.set('shared/overlaps', 4);
      expect(await send(rotated('overlaps', 4), { secrets: [other, secret] })).toBe(204);
      await receiver.printed(inUse('overlaps', 4));
      leasekeeper.generations.set('shared/overlaps', 5);
      expect(await send(rotated('overlaps', 5), { secrets: [secret, other] })).toBe(204);
      await receiver.printed(inUse('overlaps', 5));
    });

    it.skipIf(skip)('refuses what is forged, changed, old or not signed', async () => {
      const event = rotated('refuses', 4);
      const body = eventBody(event);
      const signed = headers({ id: event.id, timestampSeconds: nowSeconds(), body, secrets: [secret] });

      expect(await send(event, { secrets: [createSigningSecret(randomBytes)] })).toBe(401);
      expect(await send(event, { at: nowSeconds() - 600 })).toBe(401);
      expect(await send(event, { at: nowSeconds() + 600 })).toBe(401);
      expect(await post(body.replace('"generation":4', '"generation":5'), signed)).toBe(401);
      expect(await post(body, { ...signed, 'webhook-id': 'evt_other' })).toBe(401);
      expect(await post(body, { ...signed, 'webhook-timestamp': 'soon' })).toBe(401);
      expect(await post(body, { ...signed, 'webhook-signature': 'v1, v2,x v1' })).toBe(401);
      expect(await post(body, {})).toBe(401);
      await afterAnother('evt_after_refusals');

      expect(asked('refuses')).toHaveLength(1);
      expect(await post(body, signed)).toBe(204);
    });

    it.skipIf(skip)('prints no value', () => {
      expect(receiver.lines.length).toBeGreaterThan(paths.length);
      expect(receiver.lines.join('\n')).not.toContain('not-a-secret');
    });
  },
);
