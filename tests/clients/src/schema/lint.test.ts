// graphql-eslint's presets, on the schema as the server prints it.
import plugin from '@graphql-eslint/eslint-plugin';
import { ESLint, type Linter } from 'eslint';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { package_ } from '../harness/repository';
import { sdl } from '../harness/server';

/** Values have no identity: what they are is all there is to them. */
const VALUES = [
  'Alternative',
  'AuditViolation',
  'AuditedOrders',
  'AuditedTickets',
  'Availability',
  'EventAvailability',
  'EventCancellation',
  'InventoryAudit',
  'Member',
  'Membership',
  'Money',
  'PageInfo',
  'Seat',
  'SeatMap',
  'StaffAccount',
  'TicketChange',
  'TicketsChanged',
  'Viewer',
];

const presets = plugin.configs;
const naming = presets['flat/schema-recommended'].rules['@graphql-eslint/naming-convention'];

const rules: Linter.RulesRecord = {
  ...presets['flat/schema-recommended'].rules,
  ...presets['flat/schema-relay'].rules,
  '@graphql-eslint/strict-id-in-types': [
    'error',
    { exceptions: { types: VALUES, suffixes: ['Payload', 'UserError', 'Connection', 'Edge'] } },
  ],
  // Lists that cannot grow are lists, and a connection has `nodes` beside its edges.
  '@graphql-eslint/relay-edge-types': ['error', { listTypeCanWrapOnlyEdgeType: false }],
  '@graphql-eslint/naming-convention': [
    'error',
    {
      ...naming[1],
      // A ticket type is what the field calls it.
      'ObjectTypeDefinition,ObjectTypeExtension': {
        ...naming[1]['ObjectTypeDefinition,ObjectTypeExtension'],
        ignorePattern: '^TicketType$',
      },
    },
  ],
};

async function lint(schema: string): Promise<string[]> {
  const eslint = new ESLint({
    cwd: package_,
    overrideConfigFile: true,
    overrideConfig: {
      files: ['**/*.graphql'],
      languageOptions: { parser: plugin.parser, parserOptions: { graphQLConfig: { schema } } },
      plugins: { '@graphql-eslint': plugin as ESLint.Plugin },
      rules,
    },
  });
  const [result] = await eslint.lintText(schema, { filePath: 'linted.graphql' });
  return (result?.messages ?? []).map(({ message }) => message.split('\n')[0] ?? '').sort();
}

test('the schema is as graphql-eslint recommends, for Relay too', async () => {
  assert.deepEqual(await lint(sdl()), [
    // Both are what is printed on a ticket, and the rule has no exceptions by name.
    'Field "seat" starts with the name of the parent type "Seat"',
    'Field "ticketType" starts with the name of the parent type "Ticket"',
  ]);
});

test('what is not as recommended is found', async () => {
  const worse = `${sdl()}\ntype thing { Name: String }\nextend type Query { "A thing." getThings: thing }`;
  const found = (await lint(worse)).join('\n');
  for (const part of ['"thing"', '"Name"', '"getThings"', 'unique identifier', 'Description is required']) {
    assert.ok(found.includes(part), `${part} in:\n${found}`);
  }
});
