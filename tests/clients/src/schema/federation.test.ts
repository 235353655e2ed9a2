// Rowlock as one subgraph of several: its schema composes with one that knows more about an event.
import { composeServices } from '@theguild/federation-composition';
import { buildSchema, isObjectType, parse } from 'graphql';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventPage } from '../documents';
import { sdl, Server } from '../harness/server';
import { ask, HALL } from '../harness/tickets';

const REVIEWS = `
  extend schema
    @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])

  type Query {
    latestReviews(first: Int): ReviewConnection!
  }

  type Event @key(fields: "id") {
    id: ID!
    reviews(first: Int): ReviewConnection!
  }

  type Review @key(fields: "id") {
    id: ID!
    text: String!
    event: Event!
  }

  type ReviewConnection {
    edges: [ReviewEdge!]!
    pageInfo: PageInfo!
  }

  type ReviewEdge {
    cursor: String!
    node: Review!
  }

  type PageInfo @shareable {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: String
    endCursor: String
  }
`;

function compose(tickets: string): ReturnType<typeof composeServices> {
  return composeServices([
    { name: 'tickets', typeDefs: parse(tickets), url: 'http://tickets.example/graphql' },
    { name: 'reviews', typeDefs: parse(REVIEWS), url: 'http://reviews.example/graphql' },
  ]);
}

test('it composes with a subgraph that extends its events', () => {
  const { errors, publicSdl, supergraphSdl } = compose(sdl('--federation'));
  assert.deepEqual(errors?.map(String) ?? [], []);
  const event = buildSchema(publicSdl ?? '').getType('Event');
  assert.ok(isObjectType(event));
  for (const field of ['id', 'name', 'tickets', 'reviews']) {
    assert.ok(field in event.getFields(), field);
  }
  assert.match(supergraphSdl ?? '', /type Event[^{]*@join__type\(graph: TICKETS, key: "id"\)/);
});

test('without its keys it would not', () => {
  const { errors } = compose(sdl('--federation').replaceAll(/^extend type \w+ @key.*$/gm, ''));
  assert.match(String(errors), /Event\.id/);
});

test('a running server answers the router that asks for an object of its by its key', async () => {
  const server = await Server.start('--federation', 'on');
  try {
    const { event } = await ask(server.url, undefined, EventPage, { slug: HALL, first: 1 });
    const query = `
      query ($representations: [_Any!]!) {
        _service { sdl }
        _entities(representations: $representations) { __typename ... on Event { id name } }
      }`;
    const representations = [{ __typename: 'Event', id: event?.id }];
    const response = await fetch(server.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables: { representations } }),
    });
    const { data, errors } = (await response.json()) as { data?: Record<string, any>; errors?: unknown };
    assert.equal(errors, undefined);
    assert.deepEqual(data?.['_entities'], [{ __typename: 'Event', id: event?.id, name: event?.name }]);
    assert.equal(data?.['_service'].sdl.trim(), sdl('--federation').trim());
  } finally {
    await server.stop();
  }
});
