/** What a person does on the page. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { at, drag, levelsOf, pixelOf, pixels, says, settled, withPage } from './browser.js';

const MODEL = { query: '?model=shapes' };

test('a brush paints, an eraser rubs out, and undo takes both back', () =>
  withPage(async (page) => {
    const easel = page.locator('#easel');
    const begun = await pixels(easel);
    await page.getByLabel('red', { exact: true }).check();
    await page.locator('#width').fill('1');
    await drag(page, easel, [2, 10], [2, 13]);
    assert.deepEqual(await pixelOf(easel, 2, 12), [200, 55, 45, 255]);
    assert.equal((await pixelOf(easel, 3, 12))[3], 0, 'the row below is still rubbed out');

    await page.getByLabel('Eraser').check();
    await drag(page, easel, [5, 2], [9, 2]);
    for (const row of [5, 7, 9]) assert.equal((await pixelOf(easel, row, 2))[3], 0);
    assert.equal((await pixelOf(easel, 7, 4))[3], 255);

    await page.getByRole('button', { name: 'Undo' }).click();
    assert.equal((await pixelOf(easel, 7, 2))[3], 255);
    await page.getByRole('button', { name: 'Undo' }).click();
    assert.deepEqual(await pixels(easel), begun);
  }, MODEL));

test('the keyboard paints and rubs out', () =>
  withPage(async (page) => {
    const easel = page.locator('#easel');
    await page.locator('#width').fill('1');
    await easel.focus();
    for (const key of ['e', 'ArrowLeft', 'ArrowLeft', 'ArrowUp', ' ']) await page.keyboard.press(key);
    assert.equal((await pixelOf(easel, 7, 6))[3], 0);
    const heard = page.locator('#easel-place');
    assert.equal(await heard.textContent(), 'Row 8, column 7: rubbed out');
    await page.getByLabel('blue', { exact: true }).check();
    await easel.focus();
    for (const key of ['b', ' ']) await page.keyboard.press(key);
    assert.equal((await pixelOf(easel, 7, 6))[3], 255);
    assert.equal(await heard.textContent(), 'Row 8, column 7: red 60, green 120, blue 200 of 255');
    await page.keyboard.press('z');
    assert.equal((await pixelOf(easel, 7, 6))[3], 0);
    await page.keyboard.press('Tab');
    assert.notEqual(await page.evaluate(() => document.activeElement.id), 'easel', 'no trap');
  }, MODEL));

test('a finger paints, and a second one beside it does nothing', () =>
  withPage(async (page, context) => {
    const easel = page.locator('#easel');
    await page.locator('#width').fill('1');
    await easel.scrollIntoViewIfNeeded();
    const point = async (row, column, id) => {
      const [x, y] = await at(easel, row, column);
      return { x, y, id };
    };
    const session = await context.newCDPSession(page);
    const touch = (type, ...touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
    await touch('touchStart', await point(4, 1, 0));
    await touch('touchMove', await point(4, 4, 0));
    await touch('touchStart', await point(4, 4, 0), await point(12, 2, 1));
    await touch('touchMove', await point(4, 5, 0), await point(14, 2, 1));
    await touch('touchEnd');
    for (const column of [1, 3, 4]) assert.equal((await pixelOf(easel, 4, column))[3], 0, `column ${column}`);
    for (const row of [12, 13, 14]) assert.equal((await pixelOf(easel, row, 2))[3], 255, `row ${row}`);
    assert.equal(await page.evaluate(() => scrollX), 0, 'the page stays while a finger paints');
  }, { ...MODEL, hasTouch: true, viewport: { width: 390, height: 800 } }));

test('completions keep what is given, differ, and again gives others', () =>
  withPage(async (page) => {
    await page.locator('#pace').selectOption('once');
    await page.getByRole('button', { name: 'bottom' }).click();
    const given = await pixels(page.locator('#easel'));
    await page.getByRole('button', { name: 'Complete', exact: true }).click();
    await says(page, 'complete-status', 'Four completions');
    const first = [];
    for (const tile of await page.locator('#completions canvas').all()) first.push(await pixels(tile));
    assert.equal(first.length, 4);
    for (const picture of first) {
      for (let byte = 0; byte < given.length; byte++) {
        const pixel = byte - (byte % 4);
        if (given[pixel + 3]) assert.equal(picture[byte], given[byte]);
        else assert.equal(picture[pixel + 3], 255, 'what was rubbed out is drawn');
      }
    }
    assert.equal(new Set(first.map(String)).size, 4, 'four that differ');

    const before = await levelsOf(page, '#completions');
    await page.getByRole('button', { name: 'Again' }).click();
    await says(page, 'complete-status', 'Four completions');
    assert.notDeepEqual(await levelsOf(page, '#completions'), before);
  }, MODEL));

test('a picture is loaded, and nothing rubbed out is told', () =>
  withPage(async (page) => {
    // Two pixels: red and blue.
    const png = await page.evaluate(() => {
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [64, 64];
      const context = canvas.getContext('2d');
      context.fillStyle = '#ff0000';
      context.fillRect(0, 0, 32, 64);
      context.fillStyle = '#0000ff';
      context.fillRect(32, 0, 32, 64);
      return canvas.toDataURL('image/png').split(',')[1];
    });
    const file = { name: 'halves.png', mimeType: 'image/png', buffer: Buffer.from(png, 'base64') };
    await page.locator('#file').setInputFiles(file);
    const easel = page.locator('#easel');
    await page.waitForFunction(() => document.querySelector('#easel').getContext('2d').getImageData(15, 8, 1, 1).data[3] === 255);
    assert.deepEqual(await pixelOf(easel, 8, 2), [255, 0, 0, 255]);
    assert.deepEqual(await pixelOf(easel, 8, 13), [0, 0, 255, 255]);
    await page.getByRole('button', { name: 'Complete', exact: true }).click();
    await says(page, 'complete-status', 'Nothing is rubbed out');

    await page.locator('#file').setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('x') });
    await says(page, 'complete-status', 'notes.txt is no picture');
  }, MODEL));

test('drawing is seen row by row, and stops where it is told to', () =>
  withPage(async (page) => {
    await page.locator('#pace').selectOption('pixels');
    await page.getByRole('button', { name: 'all', exact: true }).click();
    await page.getByRole('button', { name: 'Complete', exact: true }).click();
    const opaque = async () => (await pixels(page.locator('#completions canvas').first())).filter((level, byte) => byte % 4 === 3 && level).length;
    await page.waitForFunction(() => Number(document.querySelector('#complete-progress').value) > 0.05 && Number(document.querySelector('#complete-progress').value) < 0.9);
    assert.ok(await page.locator('#completions .pen').first().isVisible());
    await page.getByRole('button', { name: 'Stop' }).first().click();
    await says(page, 'complete-status', 'Stopped after');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'do-complete', 'the focus is not lost');
    const drawn = await opaque();
    assert.ok(drawn > 0 && drawn < 256, `${drawn} pixels`);
    const said = await page.locator('#complete-status').textContent();
    const count = Number(said.match(/after (\d+) of 256/)[1]);
    assert.ok(count >= drawn && count < 256, said);
    // Nothing goes on behind the page, which works as before.
    await page.locator('#pace').selectOption('once');
    await page.getByRole('button', { name: 'Complete', exact: true }).click();
    await says(page, 'complete-status', 'Four completions');
    assert.equal(await opaque(), 256);
  }, MODEL));

test('another picture ends the completions of the one before', () =>
  withPage(async (page) => {
    await page.locator('#pace').selectOption('pixels');
    await page.getByRole('button', { name: 'all', exact: true }).click();
    await page.getByRole('button', { name: 'Complete', exact: true }).click();
    await page.waitForFunction(() => Number(document.querySelector('#complete-progress').value) > 0.05);
    await page.locator('#another').click();
    await says(page, 'complete-status', 'Rub a part of the picture out');
    assert.ok(await page.locator('#stop-complete').isDisabled());
    const drawn = await pixels(page.locator('#completions canvas').first());
    await page.waitForTimeout(500);
    assert.deepEqual(await pixels(page.locator('#completions canvas').first()), drawn, 'nothing is drawn any more');
    await says(page, 'complete-status', 'Rub a part of the picture out');
  }, MODEL));

test('a class decides what is drawn', () =>
  withPage(async (page) => {
    const draw = async (label) => {
      await page.locator('#sample-status').evaluate((status) => (status.textContent = ''));
      await page.locator('#sample-class').selectOption({ label });
      await says(page, 'sample-status', '16 images in');
      return levelsOf(page, '#samples');
    };
    const checker = await draw('checker');
    const hills = await draw('hills');
    assert.notDeepEqual(checker, hills);
    assert.deepEqual(await draw('checker'), checker, 'the same seed and class');
    assert.equal(await page.getByRole('button', { name: 'Look inside sample 3, checker' }).count(), 1);
    const { models } = await page.evaluate(async () => (await fetch('manifest.json')).json());
    const index = models.find(({ name }) => name === 'shapes').classes.indexOf('checker');
    const command = await page.locator('#command').textContent();
    assert.ok(command.endsWith(`--model shapes --seed 0 --count 16 --labels '#${index}'`), command);
  }, MODEL));

test('tau of a half gives the medians, whatever the seed', () =>
  withPage(async (page) => {
    const draw = async (seed) => {
      await page.locator('#seed').fill(seed);
      await page.locator('#sample-status').evaluate((status) => (status.textContent = ''));
      await page.getByRole('button', { name: 'Draw' }).click();
      await says(page, 'sample-status', 'images in');
      return levelsOf(page, '#samples');
    };
    const samples = await draw('5');
    await page.getByText('the same for all').click();
    await says(page, 'sample-status', 'images in');
    const medians = await draw('5');
    assert.notDeepEqual(medians, samples);
    assert.deepEqual(await draw('6'), medians);
    assert.match(await page.locator('#command').textContent(), /--tau 0.5$/);
    await page.locator('#tau').fill('0.9');
    await page.waitForFunction(() => document.querySelector('#command').textContent.endsWith('--tau 0.9'));
    await page.getByText('drawn from an interval').click();
    await page.locator('#low').fill('0.9');
    assert.equal(await page.locator('#high-out').textContent(), '0.91', 'the ends stay in order');
  }, MODEL));

test('a look inside shows the distribution at a pixel', () =>
  withPage(async (page) => {
    await page.locator('#samples .tile').nth(5).click();
    await settled(page);
    const curve = () => page.locator('#quantile-plot .curve').getAttribute('d');
    const first = await curve();
    const picture = page.locator('#inside-picture');
    await picture.scrollIntoViewIfNeeded();
    await page.mouse.move(...(await at(picture, 3, 5)));
    await says(page, 'reading', 'Row 4, column 6, red');
    assert.notEqual(await curve(), first);
    await picture.focus();
    await page.keyboard.press('ArrowRight');
    await says(page, 'reading', 'Row 4, column 7, red');
    await page.getByLabel('Blue', { exact: true }).check();
    await says(page, 'reading', 'Row 4, column 7, blue');
    const level = (await pixelOf(page.locator('#samples canvas').nth(5), 3, 6))[2];
    await says(page, 'reading', `The picture has ${level}:`);
    assert.equal(await page.locator('#density-plot .area').count(), 1);
    // What comes later in raster order is faded: the network did not have it.
    for (const [row, column, opacity] of [[2, 15, 255], [3, 6, 255], [3, 7, 70], [15, 0, 70]]) {
      assert.equal((await pixelOf(picture, row, column))[3], opacity, `row ${row}, column ${column}`);
    }
  }, MODEL));

test('the policy of the page holds: no code of others runs', () => {
  const asked = [];
  return withPage(
    async (page) => {
      const result = await page.evaluate(async () => {
        const outcome = {};
        const script = document.createElement('script');
        script.textContent = 'globalThis.ran = true';
        document.head.append(script);
        outcome.ran = globalThis.ran === true;
        outcome.fetched = await fetch('https://example.com/').then(() => 'yes', () => 'no');
        const style = document.createElement('style');
        style.textContent = 'body { opacity: 0.25 }';
        document.head.append(style);
        outcome.opacity = getComputedStyle(document.body).opacity;
        return outcome;
      });
      assert.deepEqual(result, { ran: false, fetched: 'no', opacity: '1' });
      // The workers have the same policy.
      const answers = page.workers().map((worker) => worker.evaluate(() => fetch('https://example.com/').then(() => 'yes', () => 'no')));
      assert.ok(answers.length >= 1);
      assert.deepEqual(new Set(await Promise.all(answers)), new Set(['no']));
      assert.deepEqual(asked, [], 'nothing left the browser');
    },
    {
      ...MODEL,
      errors: [/Content Security Policy/i, /Refused to/, /violates/],
      routes: {
        'https://example.com/**': (route) => {
          asked.push(route.request().url());
          return route.fulfill({ body: 'secret', headers: { 'Access-Control-Allow-Origin': '*' } });
        },
      },
    },
  );
});
