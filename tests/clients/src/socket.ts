import { createClient, type Client } from 'graphql-ws';

/** Gives a token that is good now, a new one if need be. Throws an Error when nobody is signed in. */
export type Token = () => Promise<string>;

const RETRY_WAIT_MAX_MS = 30_000;

export function socket(url: string, token: Token): Client {
  return createClient({
    url,
    // Called for each connection, so that one whose token has expired is made again with a new one.
    connectionParams: async () => ({ authorization: `Bearer ${await token()}` }),
    // Also when nobody listens there yet, as in the middle of a restart. An Error is one of ours: there is no token.
    shouldRetry: (error) => !(error instanceof Error),
    retryAttempts: Infinity,
    retryWait: async (retries) => {
      const most = Math.min(1000 * 2 ** retries, RETRY_WAIT_MAX_MS);
      // At random, so that not all clients come at once.
      await new Promise((resume) => setTimeout(resume, most * (0.5 + Math.random() / 2)));
    },
  });
}
