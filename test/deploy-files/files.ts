import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { projectFiles, readProjectFile } from '../docs/documents.ts';

export const root = path.resolve(import.meta.dirname, '../..');
export const CONTAINERFILE = 'deploy/container/Containerfile';
export const UNIT = 'deploy/systemd/leasekeeper.service';
export const UNIT_SETTINGS = 'deploy/systemd/leasekeeper.env';
export const POD_SETTINGS = 'deploy/kubernetes/leasekeeper.env';
export const KUSTOMIZATION = 'deploy/kubernetes/kustomization.yaml';
/** What a cluster is given as it is. */
export const MANIFESTS = projectFiles('deploy/kubernetes/*.yaml').filter((file) => file !== KUSTOMIZATION);

/** The documents of a YAML file, or its text. Throws when it is no good YAML. */
export function yamlIn(file: string, text = readProjectFile(file)): readonly unknown[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors.join('; ')}`);
    return document.toJS();
  });
}

/** The settings of an environment file; those that stand there as examples in comments are left out. */
export function settingsIn(file: string): Readonly<Record<string, string>> {
  const lines = readProjectFile(file)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = z.tuple([z.string(), z.string(), z.string()]).parse(/^(\w+)=(.*)$/.exec(line));
      return [name, value];
    }),
  );
}

/** The directives of a unit with all their values, in the order in which they stand. */
export function directivesIn(unit: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const [, name = '', value = ''] of unit.matchAll(/^(\w+)=(.*)$/gm)) {
    found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

export interface Copy {
  readonly stage: 'build' | 'final';
  /** `--from=`: the stage it is taken out of; undefined: the context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
}

/** What the Containerfile copies, in its order. */
export function copiesIn(containerfile: string): readonly Copy[] {
  const [, build = '', final = ''] = containerfile.split(/^FROM .*$/m);
  const copiesOf = (stage: Copy['stage'], text: string) =>
    [...text.matchAll(/^COPY (?:--from=(\w+) )?(.+)$/gm)].map(([, from, paths = '']) => {
      const words = paths.split(' ');
      return { stage, from, sources: words.slice(0, -1), target: words.at(-1) ?? '' };
    });
  return [...copiesOf('build', build), ...copiesOf('final', final)];
}
