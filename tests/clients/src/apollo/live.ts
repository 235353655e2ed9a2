import type { ApolloClient } from '@apollo/client';
import { OrderUpdated } from '../documents';

export function watchOrder(client: ApolloClient, id: string, show: (status: string) => void): () => void {
  const subscription = client.subscribe({ query: OrderUpdated, variables: { id } }).subscribe({
    next: ({ data, error }) => {
      if (data) {
        show(data.orderUpdated.status);
      } else {
        console.warn(error);
      }
    },
  });
  return () => subscription.unsubscribe();
}
