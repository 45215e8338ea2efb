import type { Finding, Verdict } from './finding.ts';

const MARKS: Readonly<Record<Verdict, string>> = { fine: '✓', wrong: '✗', unknown: '?' };

/** Longer titles stand out; the paths in them may be long. */
const WIDEST_TITLE = 36;
const LINE = 120;

/** For people: every point, then again what is wrong, with the commands that mend it. */
export function report(findings: readonly Finding[]): string {
  const width = Math.min(Math.max(...findings.map(({ title }) => title.length)), WIDEST_TITLE);
  const indent = ' '.repeat(width + 4);
  const lines = findings.flatMap(({ title, verdict, what, mend }) => {
    const [first = '', ...more] = wrapped(plain(what), LINE - indent.length);
    const see = verdict === 'unknown' ? mend : [];
    return [
      `${MARKS[verdict]} ${title.padEnd(width)}  ${first}`,
      ...more.map((line) => `${indent}${line}`),
      ...see.map((command) => `${indent}to see: ${plain(command)}`),
    ];
  });
  return [...lines, ...mending(findings), '', summary(findings)].join('\n');
}

/** Lines of at most `width` characters, or of one word. Commands are not wrapped: they are copied. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines.splice(-1, 1, `${last} ${word}`);
    else lines.push(word);
  }
  return lines;
}

/** A command that mends two things is named once, with the first. */
function mending(findings: readonly Finding[]): readonly string[] {
  const wrong = findings.filter(({ verdict }) => verdict === 'wrong');
  if (wrong.length === 0) return [];
  const told = new Set<string>();
  const lines = wrong.flatMap(({ title, what, mend }) => {
    const fresh = mend.filter((command) => !told.has(command));
    for (const command of fresh) told.add(command);
    return [
      '',
      ...wrapped(`✗ ${title}: ${plain(what)}`, LINE),
      ...fresh.map((command) => `    ${plain(command)}`),
      ...(fresh.length < mend.length ? ['    (as above)'] : []),
    ];
  });
  return ['', 'To mend:', ...lines];
}

function summary(findings: readonly Finding[]): string {
  const count = (verdict: Verdict) => findings.filter((one) => one.verdict === verdict).length;
  return `${count('fine')} fine, ${count('wrong')} wrong, ${count('unknown')} unknown`;
}

/** Names from Vault and texts of servers are shown as text, whatever they hold. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
