// A page that holds all that it shows.

import { say } from './actions.js';
import { unpackedText } from './data.js';
import { byId } from './dom.js';
import { show } from './page.js';

unpackedText(byId('content').textContent).then((parts) => show(...parts)).catch((error) => {
  say(`This page could not be drawn: ${error.message}. It needs a browser of 2023 or later.`);
  throw error;
});
