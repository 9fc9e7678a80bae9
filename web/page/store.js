/** The weights of models: fetched once, compared with their checksum, and kept by the browser. */

const CACHE = 'pixel-iqn-weights';

/** The SHA-256 of bytes in hexadecimal digits. */
async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new Error('The weights cannot be verified, because this page did not come over https: open it there.');
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function cache() {
  // Private windows and full disks have none: the page then fetches each time.
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

/** The bytes of a model's weights, whose checksum is that of the manifest. */
export async function weightsOf(model) {
  const url = new URL(model.weights.file, import.meta.url);
  const store = await cache();
  const kept = await store?.match(url);
  if (kept) {
    const bytes = await kept.arrayBuffer();
    if ((await sha256(bytes)) === model.weights.sha256) return { bytes, from: 'cache' };
    await store.delete(url);
  }
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Error(`The weights of ${model.name} cannot be fetched: is there a connection?`);
  }
  if (!answer.ok) {
    throw new Error(`The weights of ${model.name} are not on the server, which answered ${answer.status}.`);
  }
  const bytes = await answer.arrayBuffer();
  const found = await sha256(bytes);
  if (found !== model.weights.sha256) {
    throw new Error(
      `The weights of ${model.name} are damaged: ${bytes.byteLength} of ${model.weights.bytes} bytes came, with ` +
        `the SHA-256 ${found.slice(0, 12)}… in the place of ${model.weights.sha256.slice(0, 12)}…. Reload the page; ` +
        'if that does not help, the file on the server is damaged.',
    );
  }
  try {
    await store?.put(url, new Response(bytes));
  } catch {
    // No room to keep it.
  }
  return { bytes, from: 'network' };
}
