import { describe, expect, it } from 'vitest';
import { projectFiles, readProjectFile } from '../docs/documents.ts';
import { serverless } from './deployment.ts';

const files = ['serverless.yml', ...projectFiles('aws/*.{yml,cjs,mjs}')];
const defaults = Object.keys(serverless.params.default);
const [, table = ''] = readProjectFile('docs/aws-stack.md').split(/^## /m);
const named = [...table.matchAll(/^\| `(\w+)` \|(.*?)\| .* \|$/gm)];

/** Parameters that a file asks for: in variables of the framework, and by name in what it computes. */
const asked = files.flatMap((file) => {
  const text = readProjectFile(file);
  const variables = [...text.matchAll(/\$\{param:(\w+)[,}]/g)].map(([, name = '']) => name);
  const read = [...text.matchAll(/readParams\(resolveVariable, \[([^\]]*)\]/g)].flatMap(([, list = '']) =>
    [...list.matchAll(/'(\w+)'/g)].map(([, name = '']) => name),
  );
  return [...variables, ...read];
});

describe('the parameters', () => {
  it('have a default each, so that none must be given', () => {
    expect(asked.length).toBeGreaterThan(defaults.length);
    expect(asked.filter((name) => !defaults.includes(name))).toEqual([]);
  });

  it('are asked for somewhere', () => {
    // What is read under a name that is computed.
    const concurrency = [...readProjectFile('aws/concurrency.cjs').matchAll(/reserved\('(\w+)'\)/g)];
    const all = new Set([...asked, ...concurrency.map(([, name = '']) => name)]);
    expect(defaults.filter((name) => !all.has(name))).toEqual([]);
  });

  it('of a stage are those that there are', () => {
    const { default: _, ...stages } = serverless.params;
    const names = Object.values(stages).flatMap((stage) => Object.keys(stage));
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !defaults.includes(name))).toEqual([]);
  });

  it('are explained, each with its default', () => {
    expect(named.map(([, name]) => name)).toEqual(defaults);
    for (const [, name = '', shown = ''] of named) {
      const value = String(serverless.params.default[name]);
      const expected = value === '' ? '' : `\`${value}\``;
      expect({ name, shown: shown.trim() }).toEqual({ name, shown: expected });
    }
  });
});
