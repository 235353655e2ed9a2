import type { Client } from '@urql/core';
import { OrderUpdated } from '../documents';

export function watchOrder(client: Client, id: string, show: (status: string) => void): () => void {
  const subscription = client.subscription(OrderUpdated, { id }).subscribe(({ data, error }) => {
    if (data) {
      show(data.orderUpdated.status);
    } else {
      console.warn(error);
    }
  });
  return () => subscription.unsubscribe();
}
