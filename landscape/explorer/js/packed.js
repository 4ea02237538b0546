// The content that lies packed in the page.

import { byId } from './dom.js';

/** The content that lies packed in the page. */
export async function packedContent() {
  const bytes = Uint8Array.from(atob(byId('content').textContent), (c) => c.charCodeAt(0));
  const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const length = new DataView(plain).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 4, length))), new Uint8Array(plain, 4 + length)];
}
