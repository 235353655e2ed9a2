// GraphiQL's style sheet carries two families of fonts in it, most of them for scripts that no schema is written in: a quarter of a
// megabyte, compressed. It names what a system has beside them.
const families = /@font-face\s*\{[^}]*font-family:\s*['"]?(?:Roboto|Fira Code)['"]?\s*;[^}]*\}/g;

export const fonts = {
  name: 'fonts',
  enforce: 'pre',
  transform: (code, id) => (id.endsWith('.css') ? code.replace(families, '') : null),
};
