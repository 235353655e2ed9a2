import { print, type GraphQLFormattedError } from 'graphql';
import { createClient, type Client, type ClientOptions, type FormattedExecutionResult } from 'graphql-ws';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Buy, MyOrders, OrderUpdated } from '../documents';
import type { BuyTicketMutation, MyOrdersQuery, OrderUpdatedSubscription } from '../generated/graphql';
import '../harness/browser';
import { eventually, Told } from '../harness/eventually';
import { Server, token, tokenFor } from '../harness/server';
import { available, bought, cancel } from '../harness/tickets';
import { socket } from '../socket';

type Live = FormattedExecutionResult<OrderUpdatedSubscription>;

/** Before a heartbeat would push it along, which is after 10 seconds. */
const AT_ONCE_MS = 6_000;

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

/** A client with nothing set but who it is. */
function bare(bearer: () => string, on: ClientOptions['on'] = {}, others: Partial<ClientOptions> = {}): Client {
  return createClient({
    url: server.socketUrl,
    connectionParams: () => ({ authorization: `Bearer ${bearer()}` }),
    on,
    ...others,
  });
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
  const bearer = token('ws-asks');
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
  await client.dispose();
});

test('a document that does not fit is refused, and the socket lives on', async () => {
  let closed = 0;
  const client = bare(() => token('ws-errs'), { closed: () => (closed += 1) });
  const lasting = listen(client, await bought(server, token('ws-errs')));
  await lasting.told.value(1, AT_ONCE_MS);
  const told = new Told<unknown>();
  client.subscribe({ query: 'subscription { nonsense }' }, told.sink);
  await told.ended();
  assert.ok(Array.isArray(told.error), String(told.error));
  const [error] = told.error as GraphQLFormattedError[];
  assert.equal(error?.extensions?.['code'], 'GRAPHQL_VALIDATION_FAILED');
  assert.equal(closed, 0);
  lasting.unsubscribe();
});

test('an order that is not there is an error of its own', async () => {
  const client = bare(() => token('ws-strays'));
  const { told } = listen(client, 'nothing');
  await told.ended();
  const error = told.values[0]?.errors?.[0] ?? (told.error as GraphQLFormattedError[])[0];
  assert.equal(error?.extensions?.['code'], 'BAD_USER_INPUT');
  await client.dispose();
});

test('changes are told until the client has had enough', async () => {
  const bearer = token('ws-listens');
  const [one, other] = [await bought(server, bearer), await bought(server, bearer)];
  let sockets = 0;
  const client = bare(() => bearer, { opened: () => (sockets += 1) });
  const [first, second] = [listen(client, one), listen(client, other)];
  await first.told.value(1, AT_ONCE_MS);
  await second.told.value(1, AT_ONCE_MS);
  first.unsubscribe();
  await first.told.ended();
  assert.equal(first.told.isComplete, true);
  await cancel(server, bearer, one);
  await cancel(server, bearer, other);
  await second.told.value(2, AT_ONCE_MS);
  assert.deepEqual(statuses(first.told), ['CONFIRMED']);
  assert.deepEqual(statuses(second.told), ['CONFIRMED', 'CANCELLED']);
  assert.equal(sockets, 1);
  second.unsubscribe();
});

test('a restart is outlived', async () => {
  const bearer = token('ws-waits');
  const id = await bought(server, bearer);
  const closes: number[] = [];
  let isBack = () => {};
  const back = new Promise<void>((resume) => (isBack = resume));
  // With nothing set it waits for a second or more, which a restart on a slow machine may take too.
  const client = bare(() => bearer, { closed: (event) => closes.push((event as CloseEvent).code) }, {
    retryWait: () => back,
  });
  const { told, unsubscribe } = listen(client, id);
  await told.value(1, AT_ONCE_MS);
  await server.restart();
  await cancel(server, bearer, id);
  isBack();
  // The cancellation happened while nobody listened.
  await told.value(2);
  assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
  assert.deepEqual(closes, [1012]);
  unsubscribe();
});

test('a longer absence is outlived only with shouldRetry', async () => {
  const bearer = token('ws-waits-long');
  const id = await bought(server, bearer);
  const withNothingSet = listen(bare(() => bearer), id);
  const asDocumented = listen(socket(server.socketUrl, async () => bearer), id);
  await withNothingSet.told.value(1, AT_ONCE_MS);
  await asDocumented.told.value(1, AT_ONCE_MS);
  await server.end();
  await withNothingSet.told.ended();
  await server.begin();
  await asDocumented.told.value(2);
  assert.deepEqual(statuses(asDocumented.told), ['CONFIRMED', 'CONFIRMED']);
  asDocumented.unsubscribe();
});

test('when a token expires the next is asked for, with nothing set', async () => {
  const bearer = token('ws-expires');
  const id = await bought(server, bearer);
  const tokens = [tokenFor('ws-expires', 3)];
  const closes: number[] = [];
  const client = bare(() => tokens.shift() ?? bearer, {
    closed: (event) => closes.push((event as CloseEvent).code),
  });
  const { told, unsubscribe } = listen(client, id);
  await told.value(2);
  assert.deepEqual(closes, [4403]);
  await cancel(server, bearer, id);
  await told.value(3, AT_ONCE_MS);
  assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED', 'CANCELLED']);
  unsubscribe();
});

test('a token that is not good ends it after five more tries', async () => {
  const closes: number[] = [];
  const client = bare(() => 'no token', { closed: (event) => closes.push((event as CloseEvent).code) }, {
    retryWait: async () => {},
  });
  const { told } = listen(client, 'any');
  await told.ended();
  assert.equal((told.error as CloseEvent).code, 4403);
  assert.deepEqual(closes, [4403, 4403, 4403, 4403, 4403, 4403]);
});

test('without a token there is an end to it', async () => {
  let asked = 0;
  const client = socket(server.socketUrl, async () => {
    asked += 1;
    throw new Error('nobody is signed in');
  });
  const { told } = listen(client, 'any');
  await told.ended();
  assert.match(String(told.error), /nobody is signed in/);
  assert.equal(asked, 1);
});

test('whoever says nothing is asked whether they are there', async () => {
  // The client's own pings are answered, which is how it notices a dead connection.
  let pongs = 0;
  const client = createClient({
    url: server.socketUrl,
    connectionParams: { authorization: `Bearer ${token('ws-pings')}` },
    keepAlive: 100,
    on: { pong: (received) => (pongs += received ? 1 : 0) },
  });
  const { unsubscribe } = listen(client, await bought(server, token('ws-pings')));
  await eventually('three pongs', () => pongs >= 3);
  unsubscribe();
});
