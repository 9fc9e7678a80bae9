/** A grey model with classes and eight generation orders, which the page shows first. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { at, drag, pixelOf, pixels, says, settled, withPage } from './browser.js';

const MODEL = { query: '?model=mnist' };

const complete = async (page) => {
  await page.getByRole('button', { name: 'Complete', exact: true }).click();
  await says(page, 'complete-status', 'Four completions');
  return page.locator('#complete-status').textContent();
};

test('the model of digits is the one that a visitor sees', () =>
  withPage(async (page) => {
    assert.equal(await page.locator('html').getAttribute('data-model'), 'mnist');
    assert.match(await page.locator('#facts').textContent(), /28 × 28 pixels, grey · 10 classes · 8 generation orders/);
    assert.ok(await page.locator('#channels').isHidden());
    assert.ok(await page.locator('#any-colour').isHidden());
    // Most values are surely black; the page looks first at one that was not sure.
    assert.match(await page.locator('#reading').textContent(), /half of the probability lies between the levels/);
  }));

test('the order follows the region, or is chosen', () =>
  withPage(async (page) => {
    const orders = [
      ['bottom', 'rows from the top'],
      ['top', 'rows from the bottom'],
      ['right', 'columns from the left'],
      ['left', 'columns from the right'],
    ];
    for (const [region, order] of orders) {
      await page.getByRole('button', { name: 'Another picture' }).click();
      await says(page, 'complete-status', 'Rub a part of the picture out');
      await page.getByRole('button', { name: region, exact: true }).click();
      assert.match(await complete(page), new RegExp(`^Four completions in ${order}, in`));
    }
    await page.locator('#order').selectOption({ label: 'rows from the bottom, right to left' });
    await says(page, 'complete-status', 'Four completions in rows from the bottom, right to left');
  }, MODEL));

test('an order is watched: the pixels come in it, and those that are given take no time', () =>
  withPage(async (page) => {
    const seen = await page.evaluate(async () => {
      const { Engine } = await import('./engine.js');
      const { rank } = await import('./orders.js');
      const { models } = await (await fetch('manifest.json')).json();
      const model = models.find(({ name }) => name === 'mnist');
      const engine = new Engine(console.error);
      await engine.open(model);
      const size = model.size;
      const picture = new Uint8Array(784);
      const seen = [];
      for (let order = 0; order < 8; order++) {
        // The pixels from the 600th on, of which the first are drawn one by one.
        const missing = Uint8Array.from({ length: 784 }, (_, at) => (rank(order, [Math.floor(at / 28), at % 28], size) >= 600 ? 1 : 0));
        const request = { count: 1, seed: 1, labels: [3], order };
        const job = { kind: 'complete', request, picture, missing, pace: 'pixels', pixels: 784 };
        const frames = [];
        await engine
          .run('test', job, ({ done, next }) => {
            frames.push([done, rank(order, next, size)]);
            if (done > 605) engine.stop('test');
          })
          .catch(() => {});
        seen.push(frames);
      }
      return seen;
    });
    seen.forEach((frames, order) => {
      for (const [done, next] of frames) assert.equal(next, done, `order ${order}`);
      const drawn = frames.map(([done]) => done).filter((done) => done > 600);
      assert.deepEqual(drawn.slice(0, 5), [601, 602, 603, 604, 605], `order ${order}: each pixel is seen`);
    });
  }, MODEL));

test('a class decides what is completed', () =>
  withPage(async (page) => {
    await page.getByRole('button', { name: 'all', exact: true }).click();
    const completed = [];
    for (const label of ['1', '8', 'no class', '1']) {
      await page.locator('#complete-status').evaluate((status) => (status.textContent = ''));
      await page.locator('#complete-class').selectOption({ label });
      await says(page, 'complete-status', 'Four completions');
      completed.push(await pixels(page.locator('#completions canvas').first()));
    }
    const ink = (picture) => picture.filter((level, byte) => byte % 4 === 0 && level > 127).length;
    assert.ok(ink(completed[1]) > ink(completed[0]), 'an eight has more ink than a one');
    assert.notDeepEqual(completed[2], completed[0]);
    assert.deepEqual(completed[3], completed[0], 'the same seed and class');
  }, MODEL));

test('white is painted on black, and a negative makes one of the other', () =>
  withPage(async (page) => {
    const easel = page.locator('#easel');
    await page.getByLabel('Brush').check();
    await page.locator('#width').fill('2');
    await drag(page, easel, [5, 20], [5, 24]);
    assert.deepEqual(await pixelOf(easel, 5, 22), [255, 255, 255, 255]);
    await page.getByRole('button', { name: 'Negative' }).click();
    assert.deepEqual(await pixelOf(easel, 5, 22), [0, 0, 0, 255]);
    await page.getByRole('button', { name: 'Undo' }).click();
    assert.deepEqual(await pixelOf(easel, 5, 22), [255, 255, 255, 255]);
  }, MODEL));

test('a completion is looked into in the order that it was drawn in', () =>
  withPage(async (page) => {
    await page.getByRole('button', { name: 'top', exact: true }).click();
    await page.locator('#order').selectOption({ label: 'rows from the bottom' });
    await says(page, 'complete-status', 'Four completions in rows from the bottom');
    await page.locator('#completions .tile').nth(2).click();
    await settled(page);
    const picture = page.locator('#inside-picture');
    await picture.scrollIntoViewIfNeeded();
    await page.mouse.click(...(await at(picture, 14, 14)));
    await says(page, 'reading', 'Row 15, column 15:');
    for (const [row, column, opacity] of [[27, 0, 255], [14, 14, 255], [14, 15, 70], [0, 0, 70]]) {
      assert.equal((await pixelOf(picture, row, column))[3], opacity, `row ${row}, column ${column}`);
    }
  }, MODEL));

test('all of the probability is at or below the highest level', () =>
  withPage(async (page) => {
    const levels = (await pixels(page.locator('#samples canvas').first())).filter((_, byte) => byte % 4 === 0);
    const white = levels.indexOf(255);
    const picture = page.locator('#inside-picture');
    await picture.scrollIntoViewIfNeeded();
    await page.mouse.click(...(await at(picture, Math.floor(white / 28), white % 28)));
    await says(page, 'reading', 'The picture has 255: 100% of the probability');
  }, MODEL));
