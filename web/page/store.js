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

/** The bytes of an answer; `onPart` hears how many have come. */
async function read(answer, onPart) {
  const parts = [];
  let come = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    come += value.length;
    onPart(come);
  }
  return new Blob(parts).arrayBuffer();
}

/** Keeps weights in the place of older ones of the same model. */
async function keep(store, url, bytes) {
  if (!store) return;
  try {
    await store.put(url, new Response(bytes));
    // Before its ending a file has a dash and a part of the checksum.
    const family = (url) => url.replace(/-[0-9a-f]+\.safetensors/, '');
    for (const { url: other } of await store.keys()) {
      if (other !== url.href && family(other) === family(url.href)) await store.delete(other);
    }
  } catch {
    // No room to keep it.
  }
}

/** The bytes of a model's weights, whose checksum is that of the manifest; `onPart` hears how many have come. */
export async function weightsOf(model, onPart = () => {}) {
  const url = new URL(model.weights.file, import.meta.url);
  const store = await cache();
  const kept = await store?.match(url);
  if (kept) {
    const bytes = await kept.arrayBuffer();
    if ((await sha256(bytes)) === model.weights.sha256) return { bytes, from: 'cache' };
    await store.delete(url);
  }
  let bytes;
  try {
    const answer = await fetch(url);
    if (!answer.ok) {
      throw new Error(`The weights of ${model.name} are not on the server, which answered ${answer.status}.`);
    }
    bytes = await read(answer, onPart);
  } catch (error) {
    // What the browser says of a connection that is not there, or ended, is a TypeError.
    if (!(error instanceof TypeError)) throw error;
    throw new Error(`The weights of ${model.name} cannot be fetched: is there a connection? Reload the page once there is.`);
  }
  const found = await sha256(bytes);
  if (found !== model.weights.sha256) {
    throw new Error(
      `The weights of ${model.name} are damaged: ${bytes.byteLength} of ${model.weights.bytes} bytes came, with ` +
        `the SHA-256 ${found.slice(0, 12)}… in the place of ${model.weights.sha256.slice(0, 12)}…. Reload the page; ` +
        'if that does not help, the file on the server is damaged.',
    );
  }
  await keep(store, url, bytes);
  return { bytes, from: 'network' };
}
