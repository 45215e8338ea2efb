import { describe, expect, it } from 'vitest';
import { traceIdInTraceparent, traceIdInXRayHeader } from '../../lib/telemetry/trace-id.ts';

describe('the trace id of an X-Ray header', () => {
  const root = '1-5759e988-bd862e3fe1be46a994272793';

  it.each([
    ['alone', `Root=${root}`],
    ['with parent and sampling', `Root=${root};Parent=53995c3f42cd8ad8;Sampled=1`],
    ['with spaces', `Root=${root}; Parent=53995c3f42cd8ad8`],
    ['after a load balancer', `Self=1-67891234-12456789abcdef012345678a;Root=${root}`],
    ['with lineage', `Root=${root};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:a87bd80c:0`],
  ])('is its root: %s', (_, header) => {
    expect(traceIdInXRayHeader(header)).toBe(root);
  });

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['without a root', 'Parent=53995c3f42cd8ad8;Sampled=1'],
    ['whose root is cut', `Root=${root.slice(0, -1)};Sampled=1`],
    ['whose root goes on', `Root=${root}0;Sampled=1`],
    ['with another version', `Root=2${root.slice(1)}`],
    ['with capitals', `Root=${root.toUpperCase()}`],
    ['where only another field ends so', `NotRoot=${root}`],
    ['with a line break', `Root=${root}\n{"level":"error"}`],
  ])('is none in one that is %s', (_, header) => {
    expect(traceIdInXRayHeader(header)).toBeUndefined();
  });
});

describe('the trace id of a traceparent', () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const parent = '00f067aa0ba902b7';

  it.each([
    ['of version 00', `00-${trace}-${parent}-01`],
    ['of a later version', `01-${trace}-${parent}-01`],
    ['of a later version, with more in it', `cc-${trace}-${parent}-01-what-the-future-brings`],
  ])('is its second part: %s', (_, header) => {
    expect(traceIdInTraceparent(header)).toBe(trace);
  });

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['of the forbidden version', `ff-${trace}-${parent}-01`],
    ['of version 00 with more in it', `00-${trace}-${parent}-01-more`],
    ['without an id', `00-${'0'.repeat(32)}-${parent}-01`],
    ['of a later version without an id', `01-${'0'.repeat(32)}-${parent}-01`],
    ['without a parent', `00-${trace}-${'0'.repeat(16)}-01`],
    ['too short', `00-${trace.slice(1)}-${parent}-01`],
    ['in capitals', `00-${trace.toUpperCase()}-${parent}-01`],
    ['sent twice', `00-${trace}-${parent}-01,00-${trace}-${parent}-01`],
    ['of a later version, run together', `01-${trace}-${parent}-01more`],
    ['followed by a line', `01-${trace}-${parent}-01-\n{"level":"error"}`],
    ['preceded by one', `\n00-${trace}-${parent}-01`],
  ])('is none in one that is %s', (_, header) => {
    expect(traceIdInTraceparent(header)).toBeUndefined();
  });
});
