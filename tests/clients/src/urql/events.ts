import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import type { Token } from '../socket';
import { events } from '../sse';

export function urqlOverEvents(url: string, token: Token): Client {
  const live = events(url, token);
  return new Client({
    url,
    exchanges: [
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
