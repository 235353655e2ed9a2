import { graphql } from './generated';

export const EventPage = graphql(`
  query EventPage($slug: String!, $first: Int!, $after: String) {
    event(by: { slug: $slug }) {
      id
      name
      tickets(filter: { status: AVAILABLE }, first: $first, after: $after) {
        edges {
          cursor
          node {
            id
            status
            seat {
              section
              row
              seat
            }
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

export const Buy = graphql(`
  mutation BuyTicket($input: PurchaseTicketInput!) {
    purchaseTicket(input: $input) {
      order {
        ...OrderParts
      }
      userErrors {
        code
        message
      }
    }
  }
`);

export const OrderParts = graphql(`
  fragment OrderParts on Order {
    id
    status
    total {
      amount
      currency
    }
    items {
      id
      status
      seatLabel
      admissionCode
    }
  }
`);

export const OrderUpdated = graphql(`
  subscription OrderUpdated($id: ID!) {
    orderUpdated(id: $id) {
      ...OrderParts
    }
  }
`);

export const CancelOrder = graphql(`
  mutation CancelOrder($input: CancelOrderInput!) {
    cancelOrder(input: $input) {
      order {
        ...OrderParts
      }
      userErrors {
        code
        message
      }
    }
  }
`);

export const MyOrders = graphql(`
  query MyOrders($first: Int!, $after: String) {
    me {
      subject
      orders(first: $first, after: $after) {
        edges {
          cursor
          node {
            ...OrderParts
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

export const Refetch = graphql(`
  query Refetch($id: ID!) {
    node(id: $id) {
      __typename
      id
      ... on Ticket {
        isAccessible
      }
      ... on Order {
        ...OrderParts
      }
    }
  }
`);

export const RefetchAll = graphql(`
  query RefetchAll($ids: [ID!]!) {
    nodes(ids: $ids) {
      __typename
      id
    }
  }
`);
