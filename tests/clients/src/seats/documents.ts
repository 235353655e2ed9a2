import { graphql } from '../generated';

export const SeatMap = graphql(`
  query SeatMap($eventId: ID!) {
    seatMap(eventId: $eventId) {
      version
      ticketIds
      statuses
    }
  }
`);

export const SeatsChanged = graphql(`
  subscription SeatsChanged($eventId: ID!, $since: Int!) {
    ticketsChanged(eventId: $eventId, since: $since) {
      previousVersion
      version
      tickets {
        id
        status
      }
    }
  }
`);
