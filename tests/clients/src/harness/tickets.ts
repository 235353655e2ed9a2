// What the tests buy, asked for and bought without any of the clients under test.
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { randomUUID } from 'node:crypto';
import { Buy, CancelOrder, EventPage } from '../documents';
import type { Server } from './server';

export const HALL = 'new-years-gala';

export async function ask<Data, Variables>(
  url: string,
  bearer: string | undefined,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const answer = (await response.json()) as { data?: Data; errors?: unknown };
  if (answer.errors !== undefined || answer.data === undefined) {
    throw new Error(`refused: ${JSON.stringify(answer)}`);
  }
  return answer.data;
}

/** The ids of the first tickets that can be bought. */
export async function available(server: Server, count: number): Promise<string[]> {
  const { event } = await ask(server.url, undefined, EventPage, { slug: HALL, first: count });
  return event?.tickets.edges.map(({ node }) => node.id) ?? [];
}

/** An order of one ticket. */
export async function bought(server: Server, bearer: string): Promise<string> {
  const [ticketId = ''] = await available(server, 1);
  const input = { ticketId, idempotencyKey: randomUUID() };
  const { purchaseTicket } = await ask(server.url, bearer, Buy, { input });
  const id = purchaseTicket?.order?.id;
  if (id === undefined) {
    throw new Error(`not bought: ${JSON.stringify(purchaseTicket)}`);
  }
  return id;
}

export async function cancel(server: Server, bearer: string, orderId: string): Promise<void> {
  const input = { orderId, idempotencyKey: randomUUID() };
  const { cancelOrder } = await ask(server.url, bearer, CancelOrder, { input });
  if (cancelOrder?.order?.status !== 'CANCELLED') {
    throw new Error(`not cancelled: ${JSON.stringify(cancelOrder)}`);
  }
}
