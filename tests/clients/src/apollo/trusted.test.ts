// The manifest that the generated code comes with, given to a server that answers nothing else.
import { ApolloClient, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { EventPage, RefetchAll } from '../documents';
import { package_ } from '../harness/repository';
import { Server } from '../harness/server';
import { trusted } from './trusted';

let server: Server;
before(async () => {
  const manifest = join(package_, 'src/generated/persisted-documents.json');
  server = await Server.start('--trusted-documents', manifest, '--trusted-documents-only');
});
after(() => server.stop());

test('the generated documents are answered by their names', async () => {
  const client = trusted(server.url);
  const page = await client.query({ query: EventPage, variables: { slug: 'new-years-gala', first: 3 } });
  assert.equal(page.data?.event?.tickets.edges.length, 3);
  const ids = page.data.event.tickets.edges.map(({ node }) => node.id);
  const again = await client.query({ query: RefetchAll, variables: { ids } });
  assert.deepEqual(again.data?.nodes.map((node) => node?.id), ids);
});

test('any other is refused', async () => {
  const client = new ApolloClient({ link: new HttpLink({ uri: server.url }), cache: new InMemoryCache() });
  const { error } = await client.query({ query: gql`{ events { nodes { id } } }`, errorPolicy: 'all' });
  assert.ok(CombinedGraphQLErrors.is(error), String(error));
  assert.equal(error.errors[0]?.extensions?.['code'], 'DOCUMENT_NOT_TRUSTED');
});
