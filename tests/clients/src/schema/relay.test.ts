// What Relay relies on: cursors that stay right while others write, and any object again by its id.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Buy, EventPage, MyOrders, Refetch, RefetchAll } from '../documents';
import { Server, token } from '../harness/server';
import { ask, available, bought, HALL } from '../harness/tickets';

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

test('orders that are placed while somebody pages are neither told twice nor hide one', async () => {
  const bearer = token('relay-pages');
  const placed: string[] = [];
  const place = async () => placed.push(await bought(server, bearer));
  for (let count = 0; count < 5; count += 1) {
    await place();
  }
  // Latest first.
  const expected = [...placed].reverse();
  const seen: string[] = [];
  let cursor: string | null = null;
  for (;;) {
    const variables: { first: number; after: string | null } = { first: 2, after: cursor };
    const { me } = await ask(server.url, bearer, MyOrders, variables);
    seen.push(...(me?.orders.edges.map(({ node }) => node.id) ?? []));
    if (!me?.orders.pageInfo.hasNextPage) {
      break;
    }
    cursor = me.orders.pageInfo.endCursor;
    await place();
    await bought(server, token('relay-others'));
  }
  assert.deepEqual(seen, expected);
});

test('a cursor stays where it was when its own ticket is sold', async () => {
  const [page, all] = [4, await available(server, 12)];
  const seen: string[] = [];
  let cursor: string | null | undefined;
  for (let count = 0; count < 3; count += 1) {
    const { event } = await ask(server.url, undefined, EventPage, { slug: HALL, first: page, after: cursor });
    const ids: string[] = event?.tickets.edges.map(({ node }) => node.id) ?? [];
    seen.push(...ids);
    cursor = event?.tickets.pageInfo.endCursor;
    for (const ticketId of [ids[0] ?? '', ids.at(-1) ?? '']) {
      const input = { ticketId, idempotencyKey: randomUUID() };
      await ask(server.url, token('relay-buys'), Buy, { input });
    }
  }
  assert.deepEqual(seen, all);
});

test('whatever has an id is found again by it, and by nobody else', async () => {
  const bearer = token('relay-refetches');
  const orderId = await bought(server, bearer);
  const { event } = await ask(server.url, undefined, EventPage, { slug: HALL, first: 1 });
  const ticketId = event?.tickets.edges[0]?.node.id ?? '';
  const { node } = await ask(server.url, bearer, Refetch, { id: orderId });
  assert.ok(node?.__typename === 'Order');
  assert.equal(node.status, 'CONFIRMED');
  const ids = [ticketId, orderId, event?.id ?? '', node.items[0]?.id ?? ''];
  const mine = await ask(server.url, bearer, RefetchAll, { ids });
  assert.deepEqual(
    mine.nodes.map((found) => found && [found.__typename, found.id]),
    [['Ticket', ticketId], ['Order', orderId], ['Event', ids[2]], ['OrderItem', ids[3]]],
  );
  const others = await ask(server.url, token('relay-strangers'), RefetchAll, { ids });
  assert.deepEqual(others.nodes.map((found) => found?.__typename), [
    'Ticket',
    undefined,
    'Event',
    undefined,
  ]);
});
