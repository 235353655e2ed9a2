// How GraphiQL asks the server: queries and mutations over HTTP, subscriptions over a WebSocket at the same path.
import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';
import { authorization } from './token.js';

const PATH = '/graphql';

export function fetcher(params, { headers, documentAST } = {}) {
  const operation = getOperationAST(documentAST ?? parse(params.query), params.operationName);
  // What the editor for headers says wins over the field.
  const all = { ...authorization(), ...lowercase(headers) };
  return operation?.operation === 'subscription' ? subscribe(params, all) : ask(params, all);
}

async function ask(params, headers) {
  const response = await fetch(PATH, {
    method: 'POST',
    headers: {
      accept: 'application/graphql-response+json, application/json;q=0.9',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(params),
  });
  return response.json();
}

// A browser sends no headers of a page's choice with a WebSocket, so that they are in what the client says first. Each
// subscription has a socket of its own, so that it is the token of that moment that counts.
const subscribe = (params, headers) => ({
  subscribe(observer) {
    const client = createClient({
      url: new URL(PATH, location.href).href.replace(/^http/, 'ws'),
      connectionParams: headers,
    });
    const unsubscribe = client.subscribe(params, {
      next: (result) => observer.next(result),
      error: (error) => observer.error(readable(error)),
      complete: () => observer.complete(),
    });
    return { unsubscribe };
  },
});

const readable = (error) =>
  error instanceof CloseEvent
    ? new Error(`the server closed the socket: ${error.code} ${error.reason}`.trim())
    : error;

const lowercase = (headers) =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
