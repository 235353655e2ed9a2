import { createClient, type Client } from 'graphql-sse';
import type { Token } from './socket';

const RETRY_WAIT_MAX_MS = 30_000;

export function events(url: string, token: Token): Client {
  return createClient({
    url,
    headers: async () => ({ authorization: `Bearer ${await token()}` }),
    retryAttempts: Infinity,
    retry: async (retries) => {
      const most = Math.min(1000 * 2 ** retries, RETRY_WAIT_MAX_MS);
      // At random, so that not all clients come at once.
      await new Promise((resume) => setTimeout(resume, most * (0.5 + Math.random() / 2)));
    },
  });
}
