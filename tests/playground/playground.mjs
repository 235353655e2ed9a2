// The playground in Chromium, as people use it: completion, answers, documentation, the token, a subscription, a purchase;
// then the plain page. Whatever is asked of another host than the server fails it, and so does whatever the browser
// complains of, its policy above all.
//
//     node playground.mjs ROWLOCK [--screenshot FILE]
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

/// For one thing to appear: Chromium on a busy machine.
const WAIT_MAX_MS = 30_000;

const NAMES = ['chromium', 'chromium-browser', 'chromium-headless-shell', 'google-chrome', 'google-chrome-stable'];

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { screenshot: { type: 'string' } },
});
if (positionals.length !== 1) {
  console.error('usage: node playground.mjs ROWLOCK [--screenshot FILE]');
  process.exit(2);
}

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function findChromium() {
  if (process.env.ROWLOCK_TEST_CHROMIUM) {
    return process.env.ROWLOCK_TEST_CHROMIUM;
  }
  const directories = (process.env.PATH ?? '').split(delimiter);
  const found = directories.flatMap((directory) => NAMES.map((name) => join(directory, name))).find(isProgram);
  if (!found) {
    throw new Error("Chromium is not installed: apt-get install chromium, or set ROWLOCK_TEST_CHROMIUM to its program");
  }
  return found;
}

function claim(isSo, what) {
  if (!isSo) {
    throw new Error(`not so: ${what}`);
  }
}

/// What the demo tells a newcomer.
async function introduction(server) {
  const told = { tokens: [] };
  for await (const line of createInterface({ input: server.stdout })) {
    if (line.startsWith('listening on ')) {
      told.url = line.slice('listening on '.length).trim();
    } else if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(line)) {
      told.tokens.push(line);
    }
    if (told.url && told.tokens.length === 2) {
      return { url: told.url, customer: told.tokens[0], organizer: told.tokens[1] };
    }
  }
  throw new Error('the server ended before it had told its address and its tokens');
}

/// Asks the server beside the browser.
async function ask(url, token, query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  claim(!errors, `${query} is answered: ${JSON.stringify(errors)}`);
  return data;
}

/// Notes down everything that must not happen in this context.
async function watch(context, url, problems) {
  const { host } = new URL(url);
  const note = (message) => {
    if (['error', 'warning'].includes(message.type())) {
      problems.push(`${message.type()} in the console: ${message.text()}`);
    }
  };
  const isOurs = (address) => address.startsWith('data:') || new URL(address).host === host;
  await context.route('**/*', (route) => {
    const address = route.request().url();
    if (isOurs(address)) {
      return route.continue();
    }
    problems.push(`asked of another host: ${address}`);
    return route.abort();
  });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
      console.error(`against the policy: ${effectiveDirective}: ${blockedURI}`);
    });
  });
  context.on('page', (page) => {
    page.setDefaultTimeout(WAIT_MAX_MS);
    page.on('console', note);
    page.on('pageerror', (error) => problems.push(`thrown in the page: ${error.message}`));
    page.on('websocket', (socket) => {
      if (!isOurs(socket.url())) {
        problems.push(`a socket to another host: ${socket.url()}`);
      }
    });
    page.on('worker', (worker) => {
      if (!worker.url().startsWith(`${url}/assets/`)) {
        problems.push(`a worker that is no file of the server's: ${worker.url()}`);
      }
    });
  });
}

/// Without white space: an editor breaks lines where it likes, and draws spaces as no-break spaces.
const dense = (text) => text.replaceAll(/\s/g, '');

/// GraphiQL's page.
class Graphiql {
  constructor(page) {
    this.page = page;
    this.query = page.locator('.graphiql-query-editor .monaco-editor');
    this.variables = page.locator('.graphiql-editor-tool .monaco-editor').first();
    this.answer = page.locator('.graphiql-response .monaco-editor');
    this.documentation = page.locator('.graphiql-doc-explorer');
  }

  async open(url) {
    const page = await this.page.goto(url);
    claim((await page.text()).includes('src="/assets/'), 'GraphiQL is in the server: scripts/playground, and build again');
    await this.query.waitFor();
    await this.page.locator('.graphiql-spinner').waitFor({ state: 'detached' });
  }

  /// Waits until all of this is in the editor.
  async shows(editor, ...expected) {
    const begin = Date.now();
    for (;;) {
      const text = dense(await editor.locator('.view-lines').innerText());
      if (expected.every((part) => text.includes(dense(part)))) {
        return;
      }
      claim(Date.now() - begin < WAIT_MAX_MS, `an editor has ${expected}: ${text}`);
      await this.page.waitForTimeout(50);
    }
  }

  answers(...expected) {
    return this.shows(this.answer, ...expected);
  }

  async write(editor, text) {
    await editor.click();
    await this.page.keyboard.press('ControlOrMeta+a');
    await (text === '' ? this.page.keyboard.press('Delete') : this.paste(text));
  }

  /// Typing closes brackets and quotes by itself, pasting does not.
  async paste(text) {
    await this.page.evaluate((pasted) => navigator.clipboard.writeText(pasted), text);
    await this.page.keyboard.press('ControlOrMeta+v');
  }

  run() {
    return this.page.getByRole('button', { name: /^Execute query/ }).click();
  }

  tab(name) {
    return this.page.getByRole('tab', { name, exact: true }).click();
  }
}

async function writesWithHelp(graphiql) {
  const { page } = graphiql;
  await page.getByRole('button', { name: 'New tab' }).click();
  await graphiql.write(graphiql.query, '');
  await page.keyboard.type('query Prices { even', { delay: 30 });
  const suggestion = page.locator('.suggest-widget.visible .monaco-list-row', { hasText: /^events/ });
  await suggestion.first().waitFor();
  await suggestion.first().click();
  await graphiql.paste('(first: 2) { nodes { name venue ticketTypes { name price { amount } } } }');
  await graphiql.shows(graphiql.query, '{ events(first: 2) { nodes {');
  await page.getByRole('button', { name: /^Prettify query/ }).click();
  await graphiql.run();
  await graphiql.answers('"name": "Cellar Session"', '"venue":');
}

async function documents({ page, documentation }) {
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await documentation.getByText('Query', { exact: true }).click();
  await documentation.getByText('Event', { exact: true }).first().click();
  await documentation.getByText('A performance with a sales window.').waitFor();
  await documentation.getByText('Where it takes place.').waitFor();
}

async function buys(graphiql, { url, customer }) {
  const { event } = await ask(
    url,
    customer,
    '{ event(by: { slug: "new-years-gala" }) { tickets(first: 1, filter: { status: AVAILABLE }) { nodes { id } } } }',
  );
  const input = { ticketId: event.tickets.nodes[0].id, idempotencyKey: 'of the test' };
  await graphiql.tab('Buy');
  await graphiql.write(graphiql.variables, JSON.stringify({ input }));
  await graphiql.run();
  await graphiql.answers('"order": {', '"admissionCode":', '"userErrors": []');
  const { me } = await ask(url, customer, '{ me { orders(first: 1) { nodes { id } } } }');
  await graphiql.answers(`"id": "${me.orders.nodes[0].id}"`);
  return me.orders.nodes[0].id;
}

async function follows(graphiql, id, { url, organizer }) {
  await graphiql.tab('Watch');
  await graphiql.write(graphiql.variables, JSON.stringify({ id }));
  await graphiql.run();
  await graphiql.answers('"orderUpdated": {', id, '"CONFIRMED"');
  const { cancelOrder } = await ask(
    url,
    organizer,
    'mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) { userErrors { code } } }',
    { input: { orderId: id, reason: 'of the test', idempotencyKey: 'its end' } },
  );
  claim(cancelOrder.userErrors.length === 0, `the order is cancelled: ${JSON.stringify(cancelOrder)}`);
  await graphiql.answers('"orderUpdated": {', id, '"CANCELLED"');
  await graphiql.page.getByRole('button', { name: /^Stop query/ }).click();
}

async function keepsTheTokenToItself(graphiql, { url, customer }) {
  const { page } = graphiql;
  await graphiql.open(url);
  claim((await page.getByLabel('Token').inputValue()) === customer, 'the token is there after a reload');
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  claim(!kept.includes(customer), 'the token is not kept for longer than the tab is open');
}

async function usesGraphiql(context, demo) {
  const page = await context.newPage();
  const graphiql = new Graphiql(page);
  await graphiql.open(demo.url);
  await page.getByLabel('Token').fill(demo.customer);
  const order = await buys(graphiql, demo);
  await follows(graphiql, order, demo);
  await writesWithHelp(graphiql);
  claim(page.workers().length >= 2, `the editors have their workers: ${page.workers().length}`);
  await documents(graphiql);
  if (options.screenshot) {
    await page.screenshot({ path: options.screenshot });
  }
  await keepsTheTokenToItself(graphiql, demo);
  await page.close();
}

async function usesThePlainPage(context, demo) {
  const page = await context.newPage();
  await page.goto(`${demo.url}/plain`);
  const send = page.getByRole('button', { name: 'Send' });
  await send.click();
  await page.getByText('HTTP 200').waitFor();
  claim((await page.locator('#answer').innerText()).includes('ticketTypes'), 'the example is answered');
  await page.getByLabel('Token').fill(demo.customer);
  await page.getByLabel('Query').fill('query ($slug: String!) { me { role } event(by: { slug: $slug }) { name } }');
  await page.getByLabel('Variables').fill('{ "slug": "new-years-gala" }');
  await send.click();
  await page.locator('#answer', { hasText: '"role": "CUSTOMER"' }).waitFor();
  claim((await page.locator('#answer').innerText()).includes('"event": {'), 'the variables are sent');
  await page.close();
}

async function use(browser, demo) {
  const problems = [];
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await watch(context, demo.url, problems);
  for (const [name, step] of [['GraphiQL', usesGraphiql], ['the plain page', usesThePlainPage]]) {
    try {
      await step(context, demo);
    } catch (error) {
      problems.push(`${name}: ${error.stack}`);
    }
  }
  for (const problem of problems) {
    console.error(problem);
  }
  console.log(`the playground in Chromium: ${problems.length === 0 ? 'all is so' : `${problems.length} problems`}`);
  return problems.length === 0;
}

const directory = mkdtempSync(join(tmpdir(), 'rowlock-playground-'));
const server = spawn(resolve(positionals[0]), ['demo', '--listen', '127.0.0.1:0'], {
  cwd: directory,
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { PATH: process.env.PATH, ROWLOCK_LOG: 'warn' },
});
const ended = new Promise((end) => server.on('close', end));
let browser;
let isPassed = false;
try {
  const demo = await introduction(server);
  server.stdout.resume();
  browser = await chromium.launch({
    executablePath: findChromium(),
    // Root has no sandbox to be in. The pages are our own.
    chromiumSandbox: process.getuid?.() !== 0,
    args: ['--disable-dev-shm-usage', '--force-color-profile=srgb'],
  });
  isPassed = await use(browser, demo);
} finally {
  await browser?.close();
  server.stdout.resume();
  server.kill('SIGTERM');
  await ended;
  rmSync(directory, { recursive: true });
}
process.exit(isPassed ? 0 : 1);
