import { Client, fetchExchange, subscriptionExchange, type AnyVariables, type OperationResult } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import { persistedExchange } from '@urql/exchange-persisted';
import { retryExchange } from '@urql/exchange-retry';
import { createClient as createSocket } from 'graphql-ws';
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
import { urql } from './client';
import { urqlOverEvents } from './events';
import { watchOrder } from './live';

type Live = OperationResult<OrderUpdatedSubscription, AnyVariables>;

/** Before a heartbeat would push it along, which is after 10 seconds. */
const AT_ONCE_MS = 6_000;

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

/** As a first try has it: the address and a header, nothing else. */
function bare(bearer: string): Client {
  return new Client({
    url: server.url,
    exchanges: [fetchExchange],
    fetchOptions: { headers: { authorization: `Bearer ${bearer}` } },
    fetchSubscriptions: true,
  });
}

/** As `docs/urql.md` has it. */
function full(subject: string, url = server.url): Client {
  return urql(url, server.socketUrl, async () => token(subject));
}

async function ordersOf(client: Client): Promise<string[]> {
  const asked = client.query(MyOrders, { first: 100 }, { requestPolicy: 'network-only' });
  const { data, error } = await asked.toPromise();
  assert.equal(error, undefined);
  return data?.me?.orders.edges.map(({ node }) => node.id) ?? [];
}

function listen(client: Client, id: string): { told: Told<Live>; unsubscribe: () => void } {
  const told = new Told<Live>();
  const { unsubscribe } = client.subscription(OrderUpdated, { id }).subscribe(told.sink.next);
  return { told, unsubscribe };
}

function statuses(told: Told<Live>): (string | undefined)[] {
  return told.values.map(({ data }) => data?.orderUpdated.status);
}

describe('over HTTP', () => {
  test('pages add up in the cache, which has a key for everything', async (context) => {
    const warn = context.mock.method(console, 'warn');
    const client = full('urql-pages');
    let after: string | null | undefined;
    let ids: (string | undefined)[] = [];
    for (let page = 1; page <= 3; page += 1) {
      const { data } = await client.query(EventPage, { slug: HALL, first: 7, after }).toPromise();
      after = data?.event?.tickets.pageInfo.endCursor;
      ids = data?.event?.tickets.edges.map(({ node }) => node.id) ?? [];
      assert.equal(ids.length, 7 * page);
    }
    assert.equal(new Set(ids).size, 21);
    assert.deepEqual(ids, await available(server, 21));
    const input = { ticketId: ids[0] ?? '', idempotencyKey: randomUUID() };
    const sale = await client.mutation(Buy, { input }).toPromise();
    assert.deepEqual(await ordersOf(client), [sale.data?.purchaseTicket?.order?.id]);
    assert.deepEqual(warn.mock.calls.map((call) => call.arguments), []);
  });

  test('a purchase is an order, and a refused one is data', async () => {
    const [ticketId = ''] = await available(server, 1);
    const client = bare(token('urql-buys'));
    const buy = () => ({ input: { ticketId, idempotencyKey: randomUUID() } });
    const sale = await client.mutation(Buy, buy()).toPromise();
    assert.equal(sale.error, undefined);
    assert.deepEqual(sale.data?.purchaseTicket?.userErrors, []);
    const order = sale.data?.purchaseTicket?.order;
    assert.equal(order?.total.amount, '95.00');
    assert.deepEqual(await ordersOf(client), [order?.id]);

    const refused = await bare(token('urql-late')).mutation(Buy, buy()).toPromise();
    assert.equal(refused.error, undefined);
    assert.equal(refused.data?.purchaseTicket?.order, null);
    assert.deepEqual(refused.data?.purchaseTicket?.userErrors.map(({ code }) => code), ['ALREADY_SOLD']);
  });

  test('an error has its code', async () => {
    const { error } = await bare('no token').query(MyOrders, { first: 1 }).toPromise();
    assert.equal(error?.graphQLErrors[0]?.extensions['code'], 'INVALID_TOKEN');
  });

  test('a purchase whose answer is lost is repeated and made once', async () => {
    const proxy = await Proxy.start(server.address);
    try {
      const client = full('urql-retries', proxy.url);
      const [ticketId = ''] = await available(server, 1);
      proxy.loseAnswers(1);
      const input = { ticketId, idempotencyKey: randomUUID() };
      const sale = await client.mutation(Buy, { input }).toPromise();
      assert.equal(proxy.lost, 1);
      const id = sale.data?.purchaseTicket?.order?.id;
      assert.ok(id, String(sale.error));
      assert.deepEqual(await ordersOf(full('urql-retries')), [id]);
    } finally {
      await proxy.stop();
    }
  });

  test('a request whose token has expired is made again with the next', async () => {
    const tokens = [tokenFor('urql-refreshes', -1)];
    const bearer = token('urql-refreshes');
    let asked = 0;
    const client = urql(server.url, server.socketUrl, async () => tokens[asked++] ?? bearer);
    assert.deepEqual(await ordersOf(client), []);
    assert.equal(asked, 2);
  });

  test('a persisted query is sent as its hash alone', async () => {
    const sent: { method: string; hasText: boolean }[] = [];
    const client = new Client({
      url: server.url,
      exchanges: [persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange],
      fetch: (input, init) => {
        const hasText =
          new URL(String(input)).searchParams.has('query') || String(init?.body).includes('"query"');
        sent.push({ method: init?.method ?? 'GET', hasText });
        return fetch(input, init);
      },
    });
    for (const first of [1, 2]) {
      const { data, error } = await client.query(EventPage, { slug: HALL, first }).toPromise();
      assert.equal(data?.event?.tickets.edges.length, first, String(error));
    }
    assert.equal(sent.length, 3);
    assert.deepEqual(sent.map(({ hasText }) => hasText), [false, true, false]);
  });
});

describe('subscriptions over WebSocket', () => {
  test('with nothing set they tell each change', async () => {
    const bearer = token('urql-listens');
    const id = await bought(server, bearer);
    const socket = createSocket({
      url: server.socketUrl,
      connectionParams: { authorization: `Bearer ${bearer}` },
    });
    const client = new Client({
      url: server.url,
      exchanges: [
        subscriptionExchange({
          forwardSubscription: ({ query = '', variables }) => ({
            subscribe: (sink) => ({
              unsubscribe: socket.subscribe(
                { query, variables: variables as Record<string, unknown> },
                sink,
              ),
            }),
          }),
        }),
      ],
    });
    const { told, unsubscribe } = listen(client, id);
    await told.value(1, AT_ONCE_MS);
    await cancel(server, bearer, id);
    await told.value(2, AT_ONCE_MS);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
    unsubscribe();
  });

  test('they outlive a restart, and what happened meanwhile is told', async () => {
    const bearer = token('urql-waits');
    const id = await bought(server, bearer);
    const shown: string[] = [];
    const unsubscribe = watchOrder(full('urql-waits'), id, (status) => shown.push(status));
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
    const bearer = token('urql-expires');
    const id = await bought(server, bearer);
    let made = 0;
    const client = urql(server.url, server.socketUrl, async () => {
      made += 1;
      return tokenFor('urql-expires', 3);
    });
    const shown: string[] = [];
    const unsubscribe = watchOrder(client, id, (status) => shown.push(status));
    await eventually('the value after the second token', () => shown.length === 3);
    assert.ok(made >= 3);
    unsubscribe();
  });
});

describe('subscriptions over server-sent events', () => {
  test('with nothing set they tell each change', async () => {
    const bearer = token('urql-streams');
    const id = await bought(server, bearer);
    const { told, unsubscribe } = listen(bare(bearer), id);
    await told.value(1, AT_ONCE_MS);
    await cancel(server, bearer, id);
    await told.value(2, AT_ONCE_MS);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
    unsubscribe();
  });

  test('retryExchange brings them back when the connection is cut', async () => {
    const proxy = await Proxy.start(server.address);
    try {
      const bearer = token('urql-cut');
      const id = await bought(server, bearer);
      const client = new Client({
        url: proxy.url,
        exchanges: [retryExchange({}), fetchExchange],
        fetchOptions: { headers: { authorization: `Bearer ${bearer}` } },
        fetchSubscriptions: true,
      });
      const { told, unsubscribe } = listen(client, id);
      await told.value(1, AT_ONCE_MS);
      proxy.cut();
      await told.value(2);
      assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED']);
      unsubscribe();
    } finally {
      await proxy.stop();
    }
  });

  test('retryExchange brings them back after a restart', async () => {
    const bearer = token('urql-streams-wait');
    const id = await bought(server, bearer);
    const client = new Client({
      url: server.url,
      exchanges: [retryExchange({ maxNumberAttempts: 10 }), fetchExchange],
      fetchOptions: { headers: { authorization: `Bearer ${bearer}` } },
      fetchSubscriptions: true,
    });
    const { told, unsubscribe } = listen(client, id);
    await told.value(1, AT_ONCE_MS);
    await server.restart();
    await cancel(server, bearer, id);
    await told.value(2);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
    unsubscribe();
  });

  test('retryExchange and authExchange bring them back with the next token', async () => {
    const bearer = token('urql-streams-expire');
    const id = await bought(server, bearer);
    const tokens = [tokenFor('urql-streams-expire', 3)];
    const client = new Client({
      url: server.url,
      exchanges: [
        retryExchange({}),
        authExchange(async ({ appendHeaders }) => {
          let authorization = `Bearer ${tokens.shift() ?? bearer}`;
          return {
            addAuthToOperation: (operation) => appendHeaders(operation, { authorization }),
            didAuthError: (error) => error.graphQLErrors[0]?.extensions['code'] === 'TOKEN_EXPIRED',
            refreshAuth: async () => {
              authorization = `Bearer ${tokens.shift() ?? bearer}`;
            },
          };
        }),
        fetchExchange,
      ],
      fetchSubscriptions: true,
    });
    const { told, unsubscribe } = listen(client, id);
    await told.value(2);
    await cancel(server, bearer, id);
    await told.value(3, AT_ONCE_MS);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CONFIRMED', 'CANCELLED']);
    unsubscribe();
  });

  test('through graphql-sse they outlive a restart', async () => {
    const bearer = token('urql-sse');
    const id = await bought(server, bearer);
    const client = urqlOverEvents(server.url, async () => bearer);
    const { told, unsubscribe } = listen(client, id);
    await told.value(1, AT_ONCE_MS);
    await server.restart();
    await cancel(server, bearer, id);
    await told.value(2);
    assert.deepEqual(statuses(told), ['CONFIRMED', 'CANCELLED']);
    unsubscribe();
  });
});
