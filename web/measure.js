/**
 * Measures a built page, and prints one line of JSON for each model and form of the program: the processor time of
 * its samples in Node.js, and in a browser the time from a cold load to the first picture.
 *
 *     cargo xtask web --serve &
 *     PAGE=http://127.0.0.1:8080/ DIST=dist node --experimental-wasm-relaxed-simd web/measure.js
 *
 * Node.js 20 needs the flag; later ones know the instructions without it.
 */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { chromium } from 'playwright-core';

const { PAGE = 'http://127.0.0.1:8080/', DIST = 'dist', CHROMIUM = '/usr/bin/chromium' } = process.env;
const dist = resolve(DIST);
const { models } = JSON.parse(readFileSync(`${dist}/manifest.json`));

/** The seconds of processor time for an image, the median of 7 draws of some images together. */
function seconds(model, count) {
  const times = [];
  for (let seed = 0; seed < 7; seed++) {
    const begun = process.cpuUsage();
    const drawing = model.draw(JSON.stringify({ count, seed }));
    while (drawing.advance(64));
    drawing.free();
    const { user, system } = process.cpuUsage(begun);
    times.push((user + system) / 1e6 / count);
  }
  return Number(times.sort((a, b) => a - b)[3].toFixed(4));
}

/** The milliseconds to the first picture and to four completions, the median of 5 cold loads. */
async function cold(name, form) {
  const marks = [];
  for (let load = 0; load < 5; load++) {
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage();
    await page.goto(`${PAGE}?model=${name}&form=${form}`);
    await page.locator('#complete-status', { hasText: 'Four completions' }).waitFor({ timeout: 120000 });
    marks.push(await page.evaluate(() => ['first-picture', 'picture'].map((name) => Math.round(performance.getEntriesByName(name)[0].startTime))));
    await browser.close();
  }
  return [0, 1].map((mark) => marks.map((times) => times[mark]).sort((a, b) => a - b)[2]);
}

for (const form of ['relaxed', 'simd']) {
  const folder = `${dist}/program/${form}`;
  const program = await import(pathToFileURL(`${folder}/pixel_iqn_web.js`));
  program.initSync({ module: readFileSync(`${folder}/pixel_iqn_web_bg.wasm`) });
  for (const { name, config, size, weights } of models) {
    const model = new program.Model(JSON.stringify(config), ...size, readFileSync(`${dist}/${weights.file}`));
    const [first, completed] = await cold(name, form);
    console.log(
      JSON.stringify({
        model: name,
        form,
        'processor seconds an image': { alone: seconds(model, 1), 'of 16': seconds(model, 16), 'of 64': seconds(model, 64) },
        'first picture, ms': first,
        'four completions, ms': completed,
      }),
    );
    model.free();
  }
}
