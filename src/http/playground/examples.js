// The tabs that a newcomer finds: each a document, and variables to fill in where it has some.
import buy from './examples/buy.graphql?raw';
import buyVariables from './examples/buy.json?raw';
import events from './examples/events.graphql?raw';
import hold from './examples/hold.graphql?raw';
import holdVariables from './examples/hold.json?raw';
import watch from './examples/watch.graphql?raw';
import watchVariables from './examples/watch.json?raw';

export const examples = [
  { query: events },
  { query: buy, variables: buyVariables },
  { query: hold, variables: holdVariables },
  { query: watch, variables: watchVariables },
];
