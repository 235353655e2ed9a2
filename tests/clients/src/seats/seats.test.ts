// An event's seats as each client is told of them, at two processes of one database through both of which they are bought.
import type { ApolloClient } from '@apollo/client';
import { print } from 'graphql';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { apollo } from '../apollo/client';
import { apolloOverHttp } from '../apollo/parts';
import { Buy, EventPage } from '../documents';
import type { SeatsChangedSubscription } from '../generated/graphql';
import '../harness/browser';
import { eventually } from '../harness/eventually';
import { Pair } from '../harness/pair';
import { Proxy } from '../harness/proxy';
import { token, type Server } from '../harness/server';
import { ask, available, bought, cancel, HALL } from '../harness/tickets';
import { socket } from '../socket';
import { events } from '../sse';
import { SeatMap, SeatsChanged } from './documents';
import { Seats } from './seats';

type Message = SeatsChangedSubscription['ticketsChanged'];
type Variables = ReturnType<Seats['variables']>;
type At = Pick<Server, 'url' | 'socketUrl'>;

/** Tells each message until it is ended. */
type Listen = (at: At, variables: Variables, tell: (message: Message | undefined) => void) => () => void;

function byApollo(client: (at: At) => ApolloClient): Listen {
  return (at, variables, tell) => {
    const subscription = client(at)
      .subscribe({ query: SeatsChanged, variables })
      .subscribe({ next: ({ data }) => tell(data?.ticketsChanged), error: () => {} });
    return () => subscription.unsubscribe();
  };
}

const query = print(SeatsChanged);
const bearer = async () => customer;
const CLIENTS: Record<string, Listen> = {
  'graphql-ws': (at, variables, tell) =>
    socket(at.socketUrl, bearer).subscribe<SeatsChangedSubscription>(
      { query, variables },
      { next: ({ data }) => tell(data?.ticketsChanged), error: () => {}, complete: () => {} },
    ),
  'graphql-sse': (at, variables, tell) =>
    events(at.url, bearer).subscribe<SeatsChangedSubscription>(
      { query, variables },
      { next: ({ data }) => tell(data?.ticketsChanged), error: () => {}, complete: () => {} },
    ),
  'Apollo over WebSocket': byApollo(({ url, socketUrl }) => apollo(url, socketUrl, bearer)),
  'Apollo over HTTP': byApollo(({ url }) => apolloOverHttp(url, bearer)),
};

let pair: Pair;
let customer: string;
let eventId: string;
before(async () => {
  pair = await Pair.start();
  customer = token('follows');
  const { event } = await ask(pair.servers[0].url, undefined, EventPage, { slug: HALL, first: 1 });
  eventId = event?.id ?? '';
});
after(() => pair.stop());

async function mapOf(server: At): Promise<Seats> {
  const { seatMap } = await ask(server.url, undefined, SeatMap, { eventId });
  assert.ok(seatMap);
  return new Seats(seatMap);
}

/** Somebody who follows the seats by one of the clients. */
class Follower {
  readonly #listen: Listen;
  readonly seats: Seats;
  /** What was known at each version. */
  readonly known = new Map<number, Map<string, string>>();
  /** How often a message followed something else than what was known. */
  asides = 0;
  #end = () => {};

  constructor(listen: Listen, seats: Seats) {
    this.#listen = listen;
    this.seats = seats;
  }

  follow(at: At): void {
    this.#end = this.#listen(at, this.seats.variables(eventId), (message) => {
      assert.ok(message);
      if (this.seats.apply(message)) {
        this.known.set(message.version, new Map(this.seats.statuses));
      } else {
        this.asides += 1;
        this.pause();
        this.follow(at);
      }
    });
  }

  pause(): void {
    this.#end();
  }

  reach(version: number): Promise<boolean> {
    return eventually(`version ${version}`, () => this.seats.version >= version);
  }
}

/** Six changes, through one process and the other, each of which is a version: what is so at each of them, by the other's map. */
async function change(): Promise<Map<number, Seats>> {
  const maps = new Map<number, Seats>();
  const [first, second] = pair.servers;
  let { version } = await mapOf(first);
  const told = async (server: Server) => {
    version += 1;
    const map = await eventually(`version ${version}`, async () => {
      const seen = await mapOf(server);
      return seen.version === version && seen;
    });
    maps.set(version, map);
  };
  for (const [server, other] of [[first, second], [second, first]] as const) {
    const somebody = token(`buys-${randomUUID()}`);
    const order = await bought(server, somebody);
    await told(other);
    const [ticketId = ''] = await available(other, 1);
    await ask(other.url, somebody, Buy, { input: { ticketId, idempotencyKey: randomUUID() } });
    await told(server);
    await cancel(other, somebody, order);
    await told(server);
  }
  return maps;
}

/** Whoever knew one of these versions knew what was so. */
function agree(followers: Follower[], maps: Map<number, Seats>): void {
  let compared = 0;
  for (const { known } of followers) {
    for (const [version, statuses] of known) {
      const map = maps.get(version);
      if (map !== undefined) {
        assert.deepEqual(statuses, map.statuses, `version ${version}`);
        compared += 1;
      }
    }
  }
  // The last one at least.
  assert.ok(compared >= followers.length, `${compared} compared`);
}

for (const [name, listen] of Object.entries(CLIENTS)) {
  describe(name, () => {
    test('at either process what is told, replayed, is the seat map, version by version', async () => {
      const followers = [];
      for (const server of pair.servers) {
        const follower = new Follower(listen, await mapOf(server));
        follower.follow(server);
        followers.push(follower);
      }
      const maps = await change();
      const last = Math.max(...maps.keys());
      for (const follower of followers) {
        await follower.reach(last);
        assert.equal(follower.seats.version, last);
        assert.equal(follower.asides, 0);
        follower.pause();
      }
      agree(followers, maps);
    });

    test('who was away hears at the other process what they missed', async () => {
      const [first, second] = pair.servers;
      const follower = new Follower(listen, await mapOf(first));
      follower.follow(first);
      const before = await change();
      await follower.reach(Math.max(...before.keys()));
      follower.pause();
      const meanwhile = await change();
      assert.equal(follower.seats.version, Math.max(...before.keys()));
      follower.follow(second);
      await follower.reach(Math.max(...meanwhile.keys()));
      assert.equal(follower.asides, 0);
      follower.pause();
      agree([follower], new Map([...before, ...meanwhile]));
      assert.deepEqual(follower.seats.statuses, (await mapOf(first)).statuses);
    });

    test('a connection that breaks is made again, and nothing is missed', async () => {
      const proxy = await Proxy.start(pair.servers[0].address);
      try {
        const follower = new Follower(listen, await mapOf(pair.servers[0]));
        follower.follow(proxy);
        await follower.reach(Math.max(...(await change()).keys()));
        proxy.cut();
        const maps = await change();
        await follower.reach(Math.max(...maps.keys()));
        // Apollo has read the variables when it began, so that it is told once what is known already.
        assert.equal(follower.asides, name.startsWith('Apollo') ? 1 : 0);
        follower.pause();
        agree([follower], maps);
      } finally {
        await proxy.stop();
      }
    });
  });
}
