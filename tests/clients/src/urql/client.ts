import { Client, fetchExchange, subscriptionExchange, type Operation } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { retryExchange } from '@urql/exchange-retry';
import { socket, type Token } from '../socket';

/** A write is sent again only under its idempotency key: it happens once, and the answer is the same. */
function isRepeatable({ kind, variables }: Operation): boolean {
  return kind !== 'mutation' || Boolean(variables?.input?.idempotencyKey);
}

export function urql(url: string, socketUrl: string, token: Token): Client {
  const live = socket(socketUrl, token);
  return new Client({
    url,
    exchanges: [
      cacheExchange({
        keys: { Money: () => null, Seat: () => null, Availability: () => null, Viewer: () => null },
        resolvers: {
          Query: { events: relayPagination() },
          Event: { tickets: relayPagination() },
          Viewer: { orders: relayPagination() },
        },
      }),
      retryExchange({
        maxNumberAttempts: 5,
        retryIf: (error, operation) => Boolean(error.networkError) && isRepeatable(operation),
      }),
      authExchange(async ({ appendHeaders }) => {
        let authorization = `Bearer ${await token()}`;
        return {
          addAuthToOperation: (operation) => appendHeaders(operation, { authorization }),
          didAuthError: (error) =>
            error.graphQLErrors.some(({ extensions }) => extensions['code'] === 'TOKEN_EXPIRED'),
          refreshAuth: async () => {
            authorization = `Bearer ${await token()}`;
          },
        };
      }),
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: live.subscribe({ query, variables: variables as Record<string, unknown> }, sink),
          }),
        }),
      }),
      fetchExchange,
    ],
  });
}
