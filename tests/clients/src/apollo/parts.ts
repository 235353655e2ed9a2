import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { RetryLink } from '@apollo/client/link/retry';
import type { Token } from '../socket';

export function apolloOverHttp(url: string, token: Token): ApolloClient {
  const authorize = new SetContextLink(async ({ headers }) => ({
    headers: { ...headers, authorization: `Bearer ${await token()}` },
  }));
  return new ApolloClient({
    link: ApolloLink.from([
      new RetryLink({
        attempts: { max: Infinity, retryIf: (_error, { operationType }) => operationType === 'subscription' },
        delay: { initial: 1000, max: 30_000 },
      }),
      // Behind the retries, so that each has a token that is good now.
      authorize,
      new HttpLink({ uri: url }),
    ]),
    cache: new InMemoryCache(),
  });
}
