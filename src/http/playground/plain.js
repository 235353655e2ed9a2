// Sends what is in the fields, and shows what comes back.

// As in GraphiQL's page: for this tab of the browser alone, as long as it is open.
const KEY = 'rowlock.token';

const field = (id) => document.getElementById(id);
const form = document.querySelector('form');

function show(status, answer) {
  field('status').textContent = status;
  field('answer').textContent = answer;
}

function readVariables() {
  const text = field('variables').value.trim();
  return text === '' ? undefined : JSON.parse(text);
}

async function send() {
  let variables;
  try {
    variables = readVariables();
  } catch (error) {
    show(`Not sent: the variables are no JSON. ${error.message}`, '');
    return;
  }
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' };
  const token = field('token').value.trim();
  if (token !== '') {
    headers.authorization = `Bearer ${token}`;
  }
  show('Sent …', '');
  try {
    const response = await fetch('/graphql', {
      method: 'POST',
      headers,
      body: JSON.stringify({ query: field('query').value, variables }),
    });
    const text = await response.text();
    show(`HTTP ${response.status}`, indented(text));
  } catch (error) {
    show(`No answer: ${error.message}`, '');
  }
}

// What is no JSON, as from something on the way, is shown as it is.
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

field('token').value = sessionStorage.getItem(KEY) ?? '';
field('token').addEventListener('input', ({ target }) => sessionStorage.setItem(KEY, target.value.trim()));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
form.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
});
