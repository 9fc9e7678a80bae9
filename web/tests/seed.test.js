/** A seed gives the pictures of the command line. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { levelsIn, levelsOf, says, withPage } from './browser.js';

const { PICTURES } = process.env;

/** What the sampler of this machine draws, as `cargo xtask web --test` has it written; without it there is nothing to compare. */
const native = PICTURES ? JSON.parse(readFileSync(PICTURES, 'utf8')) : [];
const skip = PICTURES ? false : 'the variable PICTURES names no file: `cargo xtask web --test` draws what is compared';

/** Draws the pictures in the browser, by the engine itself, because the page asks for squares of images alone. */
const draw = (page, form) =>
  page.evaluate(
    async ([wanted, form]) => {
      const { Engine } = await import('./engine.js');
      const { models } = await (await fetch('manifest.json')).json();
      const engine = new Engine(console.error);
      const drawn = [];
      let open;
      for (const { model, request } of wanted) {
        const entry = models.find(({ name }) => name === model);
        if (open !== model) await engine.open(entry, form);
        open = model;
        const { levels } = await engine.run('test', { kind: 'draw', request, pace: 'once', pixels: entry.size[0] * entry.size[1] });
        drawn.push(Array.from(levels));
      }
      return drawn;
    },
    [native.map(({ model, request }) => ({ model, request })), form],
  );

test('a seed gives the pictures of the command line, value by value', { skip }, () =>
  withPage(async (page) => {
    assert.ok(native.length >= 4);
    // Browsers without relaxed instructions have another form, of which the next test is.
    if (!(await page.locator('#form').textContent()).includes('relaxed')) return;
    const drawn = await draw(page);
    native.forEach(({ model, request, levels }, index) => {
      const expected = levelsIn(levels);
      const differ = expected.filter((level, value) => level !== drawn[index][value]).length;
      assert.equal(drawn[index].length, expected.length);
      assert.equal(differ, 0, `${model}, ${JSON.stringify(request)}: ${differ} of ${expected.length} values differ`);
    });
    // And so does the page itself.
    await page.locator('#count').selectOption('4');
    await page.locator('#seed').fill('7');
    await page.getByRole('button', { name: 'Draw' }).click();
    await says(page, 'sample-status', '4 images in');
    const { levels } = native.find(({ model, request }) => model === 'shapes' && request.seed === 7);
    assert.deepEqual(await levelsOf(page, '#samples'), levelsIn(levels));
  }, { query: '?model=shapes' }));

test('without relaxed instructions the pictures are nearly those', { skip }, () =>
  withPage(async (page) => {
    assert.match(await page.locator('#form').textContent(), /plain SIMD/);
    const drawn = await draw(page, 'simd');
    native.forEach(({ model, request, levels }, index) => {
      const expected = levelsIn(levels);
      assert.equal(drawn[index].length, expected.length);
      const sum = expected.reduce((sum, level, value) => sum + Math.abs(level - drawn[index][value]), 0);
      const difference = sum / expected.length;
      assert.ok(difference < 8, `${model}, ${JSON.stringify(request)}: the mean difference is ${difference} of 255 levels`);
    });
  }, { query: '?model=shapes&form=simd' }));
