// The audits of graphql-http, in strict reading: what SHOULD and MAY be counts like what MUST be.
//
//     node audits.mjs http://127.0.0.1:8080/graphql
import { auditServer } from 'graphql-http';

const url = process.argv[2];
if (!url) {
  console.error('usage: node audits.mjs URL');
  process.exit(2);
}

// A bare GET executes nothing here (docs/http.md, "Pages of other sites"), so that those of the audits say with Apollo's
// header that no such page has sent them.
const fetchFn = (input, init = {}) =>
  (init.method ?? 'GET') === 'GET'
    ? fetch(input, { ...init, headers: { ...init.headers, 'apollo-require-preflight': 'true' } })
    : fetch(input, init);

const results = await auditServer({ url, fetchFn });
const failed = results.filter(({ status }) => status !== 'ok');
for (const { id, name, status, reason } of failed) {
  console.error(`${status} ${id}: ${name}: ${reason}`);
}
console.log(`graphql-http's audits: ${results.length - failed.length}/${results.length}`);
process.exit(failed.length === 0 && results.length > 0 ? 0 : 1);
