import type { SeatMapQuery, SeatsChangedSubscription } from '../generated/graphql';

type Map = NonNullable<SeatMapQuery['seatMap']>;
type Message = SeatsChangedSubscription['ticketsChanged'];

const STATUSES: Record<string, string> = { A: 'AVAILABLE', H: 'HELD', S: 'SOLD', B: 'BLOCKED' };

/** An event's seats, as they are at a version. */
export class Seats {
  version: number;
  readonly statuses: globalThis.Map<string, string>;

  constructor({ version, ticketIds, statuses }: Map) {
    this.version = version;
    this.statuses = new globalThis.Map(ticketIds.map((id, place) => [id, STATUSES[statuses[place] ?? ''] ?? '']));
  }

  /**
   * The subscription's variables. A client that comes back by itself reads them again, and so asks for what came after the
   * version that is known by then.
   */
  variables(eventId: string): { eventId: string; since: number } {
    const seats = this;
    return {
      eventId,
      get since() {
        return seats.version;
      },
    };
  }

  /** False where the message follows something else than what is known: subscribe again. */
  apply({ previousVersion, version, tickets }: Message): boolean {
    if (previousVersion !== this.version) {
      return false;
    }
    for (const { id, status } of tickets) {
      this.statuses.set(id, status);
    }
    this.version = version;
    return true;
  }
}
