// What breaks clients since the last release is named in the changelog.
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema, Kind, parse, print, visit } from 'graphql';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { read, root } from '../harness/repository';

function git(...options: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', options, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}

/** The changelog down to the heading of a release: what came since. */
function since(changelog: string, tag: string): string {
  const version = tag.replace(/^v/, '');
  const lines = changelog.split('\n');
  const end = lines.findIndex((line) => line.startsWith('## ') && line.includes(version));
  assert.ok(end >= 0, `CHANGELOG.md has no heading of ${version}`);
  return lines.slice(0, end).join('\n');
}

/** Breaking changes whose paths, such as `Order.total`, the text does not name. */
async function unnamed(old: string, now: string, text: string): Promise<string[]> {
  const changes = await diff(buildSchema(old), buildSchema(now));
  return changes
    .filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking)
    .filter(({ path }) => path === undefined || !text.includes(`\`${path}\``))
    .map(({ message, path }) => `${path}: ${message}`);
}

test('what breaks clients since the last release is named in the changelog', async (context) => {
  const tag = git('describe', '--tags', '--abbrev=0')?.trim();
  const released = tag && git('show', `${tag}:schema.graphql`);
  if (!tag || !released) {
    context.diagnostic('there is no release yet: nothing to compare with');
    return;
  }
  const found = await unnamed(released, read('schema.graphql'), since(read('CHANGELOG.md'), tag));
  assert.deepEqual(found, [], `breaking since ${tag}, and not named in CHANGELOG.md`);
});

test('a change that breaks clients is found, and excused only by its own name', async () => {
  const old = read('schema.graphql');
  const now = print(
    visit(parse(old), {
      ObjectTypeDefinition: (type) => (type.name.value === 'Order' ? undefined : false),
      // May be null from now on.
      FieldDefinition: (field) =>
        field.name.value === 'total' && field.type.kind === Kind.NON_NULL_TYPE
          ? { ...field, type: field.type.type }
          : undefined,
      EnumTypeDefinition: (type) => (type.name.value === 'TicketStatus' ? undefined : false),
      EnumValueDefinition: (value) => (value.name.value === 'BLOCKED' ? null : undefined),
      InterfaceTypeDefinition: () => false,
      InputObjectTypeDefinition: () => false,
    }),
  );
  const [removed, loosened] = await unnamed(old, now, '').then((found) => found.sort().reverse());
  assert.match(removed ?? '', /^TicketStatus\.BLOCKED: /);
  assert.match(loosened ?? '', /^Order\.total: /);
  const changelog = '# Changelog\n## Unreleased\n- `TicketStatus.BLOCKED`\n## 1.0.0\n- `Order.total`\n';
  const [left, ...others] = await unnamed(old, now, since(changelog, 'v1.0.0'));
  assert.match(left ?? '', /^Order\.total: /);
  assert.deepEqual(others, []);
});
