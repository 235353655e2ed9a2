// Generates code as a frontend does: for the tests' own documents from the schema that a running server tells, and for every
// operation that README.md and the pages of docs/ show, from the schema's text.
import { generate, type CodegenConfig } from '@graphql-codegen/cli';
import { Kind, parse, print, visit, type DocumentNode } from 'graphql';
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import config from '../codegen';
import { blocks, nameOf, package_, pages } from './harness/repository';
import { Server, sdl } from './harness/server';

const OUTPUT = join(package_, 'src/generated');

/** A page's operations, each with a name: generated code is named after it. */
function operations(page: string): string[] {
  const found: string[] = [];
  for (const { line, text } of blocks(page, 'graphql')) {
    let document: DocumentNode;
    try {
      document = parse(text);
    } catch (error) {
      throw new Error(`${page}:${line}: ${error}`);
    }
    const named = visit(document, {
      OperationDefinition: (operation) =>
        operation.name === undefined
          ? { ...operation, name: { kind: Kind.NAME, value: `Line${line}` } }
          : undefined,
    });
    if (named.definitions.some(({ kind }) => kind === Kind.OPERATION_DEFINITION)) {
      found.push(`# ${page}:${line}\n${print(named)}`);
    }
  }
  return found;
}

async function ofPages(): Promise<number> {
  const output = join(OUTPUT, 'pages');
  mkdirSync(output, { recursive: true });
  const schema = join(output, 'schema.graphql');
  writeFileSync(schema, sdl());
  const generates: CodegenConfig['generates'] = {};
  let count = 0;
  for (const page of pages()) {
    const found = operations(page);
    if (found.length > 0) {
      const shown = join(output, 'shown', nameOf(page));
      mkdirSync(shown, { recursive: true });
      found.forEach((text, index) => writeFileSync(join(shown, `${index + 1}.graphql`), text));
      generates[`${join(output, nameOf(page))}/`] = {
        ...config.generates['src/generated/'],
        documents: join(shown, '*.graphql'),
      };
      count += found.length;
    }
  }
  await generate({ schema, generates, silent: true, errorsOnly: true }, true);
  return count;
}

/** By its command line, from a server that runs. */
async function ofTests(): Promise<void> {
  const server = await Server.start();
  try {
    await promisify(execFile)('graphql-codegen', ['--config', 'codegen.ts', '--errors-only'], {
      cwd: package_,
      env: { ...process.env, ROWLOCK_URL: server.url },
    });
  } finally {
    await server.stop();
  }
}

rmSync(OUTPUT, { recursive: true, force: true });
const [count] = await Promise.all([ofPages(), ofTests()]);
if (count === 0) {
  throw new Error('README.md shows no operation any more');
}
console.log(`generated: the tests' documents, and ${count} operations of the pages`);
