// The files that the tests hold against each other.
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const package_ = resolve(fileURLToPath(import.meta.url), '../../..');
export const root = resolve(package_, '../..');

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** README.md and the pages of docs/. */
export function pages(): string[] {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.map((name) => `docs/${name}`)];
}

export interface Block {
  page: string;
  line: number;
  text: string;
  /** The last line above it that is not empty. */
  above: string;
}

/** A page's code blocks of one language. */
export function blocks(page: string, language: string): Block[] {
  const found: Block[] = [];
  const lines = read(page).split('\n');
  let begin = -1;
  let isWanted = false;
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith('```')) {
      continue;
    }
    if (begin < 0) {
      begin = index;
      isWanted = line.slice(3).trim() === language;
    } else {
      if (isWanted) {
        const above = lines.slice(0, begin).filter((other) => other.trim() !== '').at(-1) ?? '';
        found.push({ page, line: begin + 1, text: `${lines.slice(begin + 1, index).join('\n')}\n`, above });
      }
      begin = -1;
    }
  }
  return found;
}

export function nameOf(page: string): string {
  return basename(page, '.md');
}
