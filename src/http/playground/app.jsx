import { GraphiQL } from 'graphiql';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import licences from 'virtual:licences';
import './app.css';
import { examples } from './examples.js';
import { fetcher } from './fetcher.js';
import { keepToken, token } from './token.js';

function TokenField() {
  const [value, setValue] = useState(token());
  const change = ({ target }) => {
    keepToken(target.value);
    setValue(target.value);
  };
  return (
    <label>
      Token
      <input
        id="token"
        value={value}
        onChange={change}
        placeholder="none yet: “rowlock demo” prints two, “rowlock token” makes one"
        autoComplete="off"
        spellCheck={false}
      />
    </label>
  );
}

function App() {
  return (
    <>
      <header>
        <strong>Rowlock</strong>
        <TokenField />
        <a href="/plain">Plain page</a>
        <a href={licences}>Licences</a>
      </header>
      <main>
        <GraphiQL
          fetcher={fetcher}
          defaultTabs={examples}
          defaultEditorToolsVisibility="variables"
          showPersistHeadersSettings={false}
        >
          <GraphiQL.Logo>{' '}</GraphiQL.Logo>
        </GraphiQL>
      </main>
    </>
  );
}

createRoot(document.getElementById('app')).render(<App />);
