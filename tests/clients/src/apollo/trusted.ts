import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import type { DocumentNode } from 'graphql';

/** What the generated code says about a document. */
type Generated = DocumentNode & { __meta__?: { hash?: string } };

export function trusted(url: string): ApolloClient {
  return new ApolloClient({
    link: ApolloLink.from([
      new PersistedQueryLink({
        generateHash: (document: Generated) => document.__meta__?.hash?.replace('sha256:', '') ?? '',
      }),
      new HttpLink({ uri: url }),
    ]),
    cache: new InMemoryCache(),
  });
}
