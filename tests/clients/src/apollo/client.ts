import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { RetryLink } from '@apollo/client/link/retry';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import { OperationTypeNode } from 'graphql';
import { socket, type Token } from '../socket';

/** A write is sent again only under its idempotency key: it happens once, and the answer is the same. */
function isRepeatable({ operationType, variables }: ApolloLink.Operation): boolean {
  return operationType !== OperationTypeNode.MUTATION || Boolean(variables['input']?.idempotencyKey);
}

export function apollo(url: string, socketUrl: string, token: Token): ApolloClient {
  const authorize = new SetContextLink(async ({ headers }) => ({
    headers: { ...headers, authorization: `Bearer ${await token()}` },
  }));
  const retry = new RetryLink({
    attempts: { max: 5, retryIf: (_error, operation) => isRepeatable(operation) },
  });
  const http = ApolloLink.from([retry, authorize, new HttpLink({ uri: url })]);
  const live = new GraphQLWsLink(socket(socketUrl, token));
  return new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      live,
      http,
    ),
    cache: new InMemoryCache({
      typePolicies: {
        Query: { fields: { events: relayStylePagination(['filter', 'search']) } },
        Event: { fields: { tickets: relayStylePagination(['filter']) } },
        Viewer: { keyFields: ['subject'], fields: { orders: relayStylePagination() } },
      },
    }),
  });
}
