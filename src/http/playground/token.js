// The token is kept for this tab of the browser alone, and for as long as the tab is open. The plain page has it too.
const KEY = 'rowlock.token';

export const token = () => sessionStorage.getItem(KEY) ?? '';

export const keepToken = (value) => sessionStorage.setItem(KEY, value.trim());

export function authorization() {
  const value = token();
  return value === '' ? {} : { authorization: `Bearer ${value}` };
}
