// A page that holds all that it shows.

import { say } from './actions.js';
import { byId } from './dom.js';
import { show } from './page.js';

/** The content that lies packed in the page. */
async function packedContent() {
  const bytes = Uint8Array.from(atob(byId('content').textContent), (c) => c.charCodeAt(0));
  const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const length = new DataView(plain).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 4, length))), new Uint8Array(plain, 4 + length)];
}

packedContent().then((parts) => show(...parts)).catch((error) => {
  say(`This page could not be drawn: ${error.message}. It needs a browser of 2023 or later.`);
  throw error;
});
