import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Buy, EventPage, MyOrders, OrderUpdated } from '../documents';
import type { OrderUpdatedSubscription } from '../generated/graphql';
import '../harness/browser';
import { eventually, Told } from '../harness/eventually';
import { Proxy } from '../harness/proxy';
import { Server, token, tokenFor } from '../harness/server';
import { available, bought, cancel, HALL } from '../harness/tickets';
import { apollo } from './client';
import { watchOrder } from './live';
import { apolloOverHttp } from './parts';
import { persisted } from './persisted';

type Live = ApolloClient.SubscribeResult<OrderUpdatedSubscription>;

/** Before a heartbeat would push it along, which is after 10 seconds. */
const AT_ONCE_MS = 6_000;

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

/** As a first try has it: the address and a header, nothing else. */
function bare(bearer: string, url = server.url): ApolloClient {
  return new ApolloClient({
    link: new HttpLink({ uri: url, headers: { authorization: `Bearer ${bearer}` } }),
    cache: new InMemoryCache(),
  });
}

/** As `docs/apollo.md` has it. */
function full(subject: string, url = server.url): ApolloClient {
  return apollo(url, server.socketUrl, async () => token(subject));
}

async function ordersOf(client: ApolloClient): Promise<string[]> {
  const { data } = await client.query({
    query: MyOrders,
    variables: { first: 100 },
    fetchPolicy: 'network-only',
  });
  return data?.me?.orders.edges.map(({ node }) => node.id) ?? [];
}

function statuses(told: Told<Live>): (string | undefined)[] {
  return told.values.map(({ data }) => data?.orderUpdated.status);
}

describe('over HTTP', () => {
  test('pages add up in the cache', async () => {
    const client = full('apollo-pages');
    const query = client.watchQuery({ query: EventPage, variables: { slug: HALL, first: 7 } });
    const seen = query.subscribe({});
    const shown = () => query.getCurrentResult().data?.event?.tickets;
    await eventually('the first page', () => shown()?.edges?.length === 7);
    for (let page = 2; page <= 3; page += 1) {
      await query.fetchMore({ variables: { after: shown()?.pageInfo?.endCursor } });
      await eventually(`page ${page}`, () => shown()?.edges?.length === 7 * page, AT_ONCE_MS);
    }
    const ids = shown()?.edges?.map((edge) => edge?.node?.id);
    assert.equal(new Set(ids).size, 21);
    assert.deepEqual(ids, await available(server, 21));
    seen.unsubscribe();
    client.stop();
  });

  test('a purchase is an order, and a refused one is data', async () => {
    const [ticketId = ''] = await available(server, 1);
    const client = bare(token('apollo-buys'));
    const buy = () => ({ input: { ticketId, idempotencyKey: randomUUID() } });
    const sale = await client.mutate({ mutation: Buy, variables: buy() });
    assert.equal(sale.error, undefined);
    assert.deepEqual(sale.data?.purchaseTicket?.userErrors, []);
    const order = sale.data?.purchaseTicket?.order;
    assert.equal(order?.total.amount, '95.00');
    assert.deepEqual(await ordersOf(client), [order?.id]);

    const refused = await bare(token('apollo-late')).mutate({ mutation: Buy, variables: buy() });
    assert.equal(refused.error, undefined);
    assert.equal(refused.data?.purchaseTicket?.order, null);
    assert.deepEqual(refused.data?.purchaseTicket?.userErrors.map(({ code }) => code), ['ALREADY_SOLD']);
  });

  test('an error has its code', async () => {
    const client = bare('no token');
    const wrong = await client.query({ query: MyOrders, variables: { first: 1 }, errorPolicy: 'all' });
    assert.ok(CombinedGraphQLErrors.is(wrong.error), String(wrong.error));
    assert.equal(wrong.error.errors[0]?.extensions?.['code'], 'INVALID_TOKEN');
  });

  test('a purchase whose answer is lost is repeated and made once', async () => {
    const proxy = await Proxy.start(server.address);
    try {
      const client = full('apollo-retries', proxy.url);
      const [ticketId = ''] = await available(server, 1);
      proxy.loseAnswers(2);
      const variables = { input: { ticketId, idempotencyKey: randomUUID() } };
      const sale = await client.mutate({ mutation: Buy, variables });
      assert.equal(proxy.lost, 2);
      const id = sale.data?.purchaseTicket?.order?.id;
      assert.ok(id);
      assert.deepEqual(await ordersOf(full('apollo-retries')), [id]);
      // A read needs no key.
      proxy.loseAnswers(1);
      assert.deepEqual(await ordersOf(client), [id]);
      assert.equal(proxy.lost, 3);
      // What happened while nobody heard is told by the key alone.
      const again = await bare(token('apollo-retries')).mutate({ mutation: Buy, variables });
      assert.equal(again.data?.purchaseTicket?.order?.id, id);
    } finally {
      await proxy.stop();
    }
  });

  test('a persisted query is sent as its hash alone', async () => {
    const sent: { method: string; hasText: boolean }[] = [];
    const client = persisted(server.url, (input, init) => {
      const of = new URL(String(input));
      const hasText = of.searchParams.has('query') || String(init?.body).includes('"query"');
      sent.push({ method: init?.method ?? 'GET', hasText });
      return fetch(input, init);
    });
    for (const first of [1, 2]) {
      const { data } = await client.query({ query: EventPage, variables: { slug: HALL, first } });
      assert.equal(data?.event?.tickets.edges.length, first);
    }
    assert.deepEqual(sent, [
      { method: 'GET', hasText: false },
      { method: 'POST', hasText: true },
      { method: 'GET', hasText: false },
    ]);
  });
});

describe('subscriptions over WebSocket', () => {
  test('with nothing set they tell each change', async () => {
    const bearer = token('apollo-listens');
    const id = await bought(server, bearer);
    const client = new ApolloClient({
      link: new GraphQLWsLink(
        createClient({ url: server.socketUrl, connectionParams: { authorization: `Bearer ${bearer}` } }),
      ),
      cache: new InMemoryCache(),
    });
    const told = new Told<Live>();
    const subscription = client.subscribe({ query: OrderUpdated, variables: { id } }).subscribe(told.sink);
    await told.value(1, AT_ONCE_MS);
    await cancel(server, bearer, id);
    await told.value(2, AT_ONCE_MS);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
    subscription.unsubscribe();
  });

  test('they outlive a restart, and what happened meanwhile is told', async () => {
    const bearer = token('apollo-waits');
    const id = await bought(server, bearer);
    const shown: string[] = [];
    const unsubscribe = watchOrder(full('apollo-waits'), id, (status) => shown.push(status));
    await eventually('the first value', () => shown.length === 1, AT_ONCE_MS);
    await server.end();
    // Long enough for a connection to be refused in the meantime.
    await new Promise((resume) => setTimeout(resume, 1_500));
    await server.begin();
    await eventually('the value after the restart', () => shown.length === 2);
    await cancel(server, bearer, id);
    await eventually('the change', () => shown.length === 3, AT_ONCE_MS);
    assert.deepEqual(shown, ['CONFIRMED', 'CONFIRMED', 'CANCELLED']);
    unsubscribe();
  });

  test('when a token expires they go on with the next', async () => {
    const bearer = token('apollo-expires');
    const id = await bought(server, bearer);
    const tokens = [tokenFor('apollo-expires', 3), bearer];
    let asked = 0;
    const client = apollo(server.url, server.socketUrl, async () => tokens[asked++] ?? bearer);
    const shown: string[] = [];
    const unsubscribe = watchOrder(client, id, (status) => shown.push(status));
    await eventually('the value after the first token', () => shown.length === 2);
    assert.equal(asked, 2);
    await cancel(server, bearer, id);
    await eventually('the change', () => shown.length === 3, AT_ONCE_MS);
    unsubscribe();
  });
});

describe('subscriptions over HTTP (multipart)', () => {
  test('with nothing set they tell each change at once', async () => {
    const bearer = token('apollo-parts');
    const id = await bought(server, bearer);
    const told = new Told<Live>();
    const subscription = bare(bearer).subscribe({ query: OrderUpdated, variables: { id } }).subscribe(told.sink);
    await told.value(1, AT_ONCE_MS);
    await cancel(server, bearer, id);
    await told.value(2, AT_ONCE_MS);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
    subscription.unsubscribe();
  });

  test('RetryLink brings them back after a restart', async () => {
    const bearer = token('apollo-parts-wait');
    const id = await bought(server, bearer);
    const told = new Told<Live>();
    const subscription = apolloOverHttp(server.url, async () => bearer)
      .subscribe({ query: OrderUpdated, variables: { id } })
      .subscribe(told.sink);
    await told.value(1, AT_ONCE_MS);
    await server.restart();
    await told.value(2);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED']);
    subscription.unsubscribe();
  });

  test('RetryLink brings them back with the next token', async () => {
    const bearer = token('apollo-parts-expire');
    const id = await bought(server, bearer);
    const tokens = [tokenFor('apollo-parts-expire', 3)];
    const told = new Told<Live>();
    const subscription = apolloOverHttp(server.url, async () => tokens.shift() ?? bearer)
      .subscribe({ query: OrderUpdated, variables: { id } })
      .subscribe(told.sink);
    await told.value(2);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED']);
    subscription.unsubscribe();
  });
});
