/** What axe-core finds, and how the page fits. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { withPage } from './browser.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const VIEWS = [
  ['a desk, light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
  ['a desk, dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
  ['a desk, at 200%', { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }],
  ['a desk, at 400%', { viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 }],
  ['colours of the system', { viewport: { width: 1280, height: 900 }, forcedColors: 'active' }],
  ['a phone, light', { viewport: { width: 360, height: 740 }, colorScheme: 'light', hasTouch: true }],
  ['a phone, dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark', hasTouch: true }],
];

for (const [name, view] of VIEWS) {
  test(`nothing bars anybody: ${name}`, () =>
    withPage(async (page) => {
      await page.getByText('drawn from an interval').click();
      await page.addScriptTag({ content: axe });
      const { violations } = await page.evaluate(() => globalThis.axe.run(document));
      const found = violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} at ${target}: ${failureSummary}`));
      assert.deepEqual(found, []);
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `${content} pixels of content in ${window}`);
    }, { ...view, bypassCSP: true }));
}

test('without motion, completions appear at once', async () => {
  const pace = (page) => page.locator('#pace').inputValue();
  await withPage(async (page) => assert.equal(await pace(page), 'once'));
  await withPage(async (page) => assert.equal(await pace(page), 'rows'), { reducedMotion: 'no-preference' });
});
