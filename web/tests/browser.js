/** Starts the browser and opens the page, for all tests. */

import { after, before } from 'node:test';

import { chromium } from 'playwright-core';

/** The address of the page, which `cargo xtask web --test` serves. */
export const PAGE = process.env.PAGE ?? 'http://127.0.0.1:8080/';

/** What a test waits for at most, in milliseconds: long, since a machine may have other work. */
const PATIENCE = 180000;

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

after(() => browser?.close());

/**
 * Opens the page in a context of its own, whose cache is empty, and gives it to `body`. Afterwards no error
 * may be on the console, and no request may have gone to another server.
 */
export async function withPage(body, { query = '', ready = true, routes = {}, errors = [], init, ...options } = {}) {
  // Without motion the first completions appear at once.
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const problems = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => {
    // The script with which a worker begins is of the page itself.
    const url = request.url().replace(/^blob:/, '');
    if (!url.startsWith(PAGE)) problems.push(`a request to ${url}`);
  });
  if (init) await context.addInitScript(init);
  for (const [pattern, handler] of Object.entries(routes)) await context.route(pattern, handler);
  try {
    await page.goto(PAGE + query);
    if (ready) await settled(page);
    await body(page, context);
    const unexpected = problems.filter((problem) => !errors.some((pattern) => pattern.test(problem)));
    if (unexpected.length) throw new Error(`the browser reports: ${unexpected.join('; ')}`);
  } finally {
    await context.close();
  }
}

/** Waits until the page has drawn all that it draws by itself. */
export async function settled(page) {
  await page.locator('#reading', { hasText: 'of the probability' }).waitFor();
}

/** Waits for a text in a status line. */
export const says = (page, id, text) => page.locator(`#${id}`, { hasText: text }).waitFor();

/** Reads canvases off copies, since a canvas that is read becomes a slow one, as the browser warns. */
const read = (canvases) =>
  canvases.map((canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    return Array.from(context.getImageData(0, 0, copy.width, copy.height).data);
  });

/** The pixels of a canvas, red, green, blue and opacity in turn. */
export const pixels = async (locator) => (await locator.evaluateAll(read))[0];

/** The levels, `[pictures, 3, height, width]`, of pictures in a list of tiles. */
export async function levelsOf(page, list) {
  const pictures = await page.locator(`${list} canvas`).evaluateAll(read);
  return pictures.flatMap((data) => [0, 1, 2].flatMap((channel) => data.filter((_, at) => at % 4 === channel)));
}

/** Levels as the file of pictures has them, in hexadecimal digits. */
export const levelsIn = (text) => Array.from(text.match(/../g), (level) => parseInt(level, 16));

/** Where on the page a pixel of a canvas is. */
export async function at(canvas, row, column) {
  const box = await canvas.boundingBox();
  const [height, width] = await canvas.evaluate((canvas) => [canvas.height, canvas.width]);
  return [box.x + ((column + 0.5) / width) * box.width, box.y + ((row + 0.5) / height) * box.height];
}

/** The colour and opacity of a pixel of a canvas. */
export async function pixelOf(canvas, row, column) {
  const from = 4 * ((await canvas.evaluate((canvas) => canvas.width)) * row + column);
  return (await pixels(canvas)).slice(from, from + 4);
}

export async function drag(page, canvas, from, to) {
  await canvas.scrollIntoViewIfNeeded();
  await page.mouse.move(...(await at(canvas, ...from)));
  await page.mouse.down();
  await page.mouse.move(...(await at(canvas, ...to)), { steps: 5 });
  await page.mouse.up();
}
