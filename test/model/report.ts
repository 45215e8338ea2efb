import type { Exploration } from './explore.ts';

/** One line for each search: what was searched, and how many states and transitions it has. */
export class SearchTable {
  readonly #lines: string[] = [];

  add(what: string, { states, transitions }: Exploration): void {
    const figures = [states, transitions].map((n) => n.toLocaleString('en').padStart(11));
    this.#lines.push(`${figures.join(' ')}  ${what}`);
  }

  print(title: string): void {
    const head = `${'states'.padStart(11)} ${'transitions'.padStart(11)}  ${title}`;
    console.log([head, ...this.#lines].join('\n'));
  }
}
