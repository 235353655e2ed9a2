import { print } from 'graphql';
import { createClient, NetworkError, type Client, type ExecutionResult } from 'graphql-sse';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Buy, MyOrders, OrderUpdated } from '../documents';
import type { BuyTicketMutation, MyOrdersQuery, OrderUpdatedSubscription } from '../generated/graphql';
import { Told } from '../harness/eventually';
import { Proxy } from '../harness/proxy';
import { Server, token, tokenFor } from '../harness/server';
import { available, bought, cancel } from '../harness/tickets';
import { events } from '../sse';

type Live = ExecutionResult<OrderUpdatedSubscription>;

/** Before a heartbeat would push it along, which is after 10 seconds. */
const AT_ONCE_MS = 6_000;

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

/** A client with nothing set but who it is. */
function bare(bearer: () => string, url = server.url): Client {
  return createClient({ url, headers: () => ({ authorization: `Bearer ${bearer()}` }) });
}

function listen(client: Client, id: string): { told: Told<Live>; unsubscribe: () => void } {
  const told = new Told<Live>();
  const unsubscribe = client.subscribe<OrderUpdatedSubscription>(
    { query: print(OrderUpdated), variables: { id } },
    told.sink,
  );
  return { told, unsubscribe };
}

function statuses(told: Told<Live>): (string | undefined)[] {
  return told.values.map(({ data }) => data?.orderUpdated.status);
}

test('queries and mutations are answered, and complete', async () => {
  const bearer = token('sse-asks');
  const client = bare(() => bearer);
  const [ticketId] = await available(server, 1);
  const input = { ticketId, idempotencyKey: randomUUID() };
  const sold = [];
  for await (const answer of client.iterate<BuyTicketMutation>({ query: print(Buy), variables: { input } })) {
    sold.push(answer.data?.purchaseTicket?.order);
  }
  const seen = [];
  for await (const answer of client.iterate<MyOrdersQuery>({ query: print(MyOrders), variables: { first: 5 } })) {
    seen.push(...(answer.data?.me?.orders.edges.map(({ node }) => node) ?? []));
  }
  assert.equal(sold[0]?.status, 'CONFIRMED');
  assert.deepEqual(seen, sold);
});

test('a document that does not fit is told why', async () => {
  const told = new Told<ExecutionResult>();
  bare(() => token('sse-errs')).subscribe({ query: 'subscription { nonsense }' }, told.sink);
  await told.ended();
  const error = told.values[0]?.errors?.[0];
  assert.equal(error?.extensions?.['code'], 'GRAPHQL_VALIDATION_FAILED', String(told.error));
});

test('changes are told until the client has had enough', async () => {
  const bearer = token('sse-listens');
  const [one, other] = [await bought(server, bearer), await bought(server, bearer)];
  const client = bare(() => bearer);
  const [first, second] = [listen(client, one), listen(client, other)];
  await first.told.value(1, AT_ONCE_MS);
  await second.told.value(1, AT_ONCE_MS);
  first.unsubscribe();
  await cancel(server, bearer, one);
  await cancel(server, bearer, other);
  await second.told.value(2, AT_ONCE_MS);
  assert.deepEqual(statuses(first.told), ['CONFIRMED']);
  assert.deepEqual(statuses(second.told), ['CONFIRMED', 'CANCELLED']);
  second.unsubscribe();
});

test('with nothing set a restart is outlived, and what happened meanwhile is told', async () => {
  const bearer = token('sse-waits');
  const id = await bought(server, bearer);
  const { told, unsubscribe } = listen(bare(() => bearer), id);
  await told.value(1, AT_ONCE_MS);
  await server.restart();
  await cancel(server, bearer, id);
  await told.value(2);
  assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
  unsubscribe();
});

test('a cut connection is outlived', async () => {
  const proxy = await Proxy.start(server.address);
  try {
    const bearer = token('sse-cut');
    const id = await bought(server, bearer);
    const { told, unsubscribe } = listen(events(proxy.url, async () => bearer), id);
    await told.value(1, AT_ONCE_MS);
    proxy.cut();
    await told.value(2);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED']);
    unsubscribe();
  } finally {
    await proxy.stop();
  }
});

test('when a token expires the next is asked for, with nothing set', async () => {
  const bearer = token('sse-expires');
  const id = await bought(server, bearer);
  const tokens = [tokenFor('sse-expires', 3)];
  const { told, unsubscribe } = listen(bare(() => tokens.shift() ?? bearer), id);
  await told.value(2);
  await cancel(server, bearer, id);
  await told.value(3, AT_ONCE_MS);
  assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED', 'CANCELLED']);
  unsubscribe();
});

test('when there is no other token there is an end to it', async () => {
  const id = await bought(server, token('sse-ends'));
  const old = tokenFor('sse-ends', 3);
  const client = createClient({
    url: server.url,
    headers: { authorization: `Bearer ${old}` },
    retry: () => new Promise((resume) => setTimeout(resume, 300)),
  });
  const { told } = listen(client, id);
  await told.ended();
  assert.ok(told.error instanceof NetworkError, String(told.error));
  assert.equal((told.error.response as Response).status, 401);
  assert.deepEqual(statuses(told), ['CONFIRMED']);
});
