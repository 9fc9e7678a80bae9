/**
 * Takes the pictures of the page that the README and the guide show, on a desk and on a phone, light and dark.
 *
 *     cargo xtask web --serve &
 *     PAGE=http://127.0.0.1:8080/ node web/screenshots.js docs
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const { PAGE = 'http://127.0.0.1:8080/', CHROMIUM = '/usr/bin/chromium' } = process.env;
const [folder = 'docs'] = process.argv.slice(2);

const DESK = { width: 1180, height: 800 };
const PHONE = { width: 390, height: 800 };

/** What is seen on the first screen, once the completions are drawn. */
const first = () => {};

/** And while they are being drawn. */
const watched = async (page) => {
  await page.locator('#pace').selectOption('pixels');
  await page.locator('#do-complete').click();
  await page.evaluate(() => document.activeElement.blur());
  await page.waitForFunction(() => document.querySelector('#complete-progress').value > 0.68);
};

/** A look inside a sample, at the pixel that the page chooses: the one whose value was least sure. */
const inside = async (page) => {
  await page.locator('#samples .tile').nth(3).click();
  await page.locator('#reading', { hasText: 'of the probability' }).waitFor();
  await page.evaluate(() => {
    document.activeElement.blur();
    const wide = innerWidth > 800;
    const top = document.querySelector(wide ? '#inside' : '#inside .card').getBoundingClientRect().top;
    scrollTo({ top: top + scrollY - (wide ? 0 : 16), behavior: 'instant' });
  });
};

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

async function shot(viewport, colorScheme, prepare) {
  const page = await (await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })).newPage();
  await page.goto(PAGE);
  await page.locator('#reading', { hasText: 'of the probability' }).waitFor();
  await prepare(page);
  const png = await page.screenshot();
  await page.close();
  return png;
}

/** Puts pictures of the page side by side, with room and a line around each. */
async function together(shots) {
  const page = await browser.newPage({ viewport: { width: 2000, height: 1000 } });
  const images = shots.map((png) => `<img src="data:image/png;base64,${png.toString('base64')}">`);
  await page.setContent(`<style>
    body { margin: 0; }
    div { display: inline-flex; gap: 24px; padding: 8px; }
    img { border: 1px solid #8886; border-radius: 16px; }
  </style><div>${images.join('')}</div>`);
  const png = await page.locator('div').screenshot({ omitBackground: true });
  await page.close();
  return png;
}

for (const [name, views] of [
  ['web-page.png', [[DESK, 'light', watched], [PHONE, 'dark', first]]],
  ['web-inside.png', [[DESK, 'dark', inside], [PHONE, 'light', inside]]],
]) {
  const shots = [];
  for (const view of views) shots.push(await shot(...view));
  writeFileSync(join(folder, name), await together(shots));
}
await browser.close();
