/** What a person may do that nobody planned. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';

import { levelsOf, pixelOf, pixels, says, settled, withPage } from './browser.js';

const MODEL = { query: '?model=shapes' };

/** A PNG whose lines are all the same, of colours with opacity. */
function png(height, line) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(line.length, 0);
  header.writeUInt32BE(height, 4);
  // 8 bits a channel, of which the fourth is opacity.
  header.set([8, 6], 8);
  const row = Buffer.from([0, ...line.flat()]);
  const data = deflateSync(Buffer.alloc(row.length * height, row), { level: 1 });
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

/** Lets go of a file over an element, or pastes it there, and says whether the page took it. */
const give = (locator, type, file) =>
  locator.evaluate(
    (element, [type, name, kind, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], name, { type: kind }));
      const options = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
      const event = type === 'paste' ? new ClipboardEvent(type, options) : new DragEvent(type, options);
      return !element.dispatchEvent(event);
    },
    [type, file.name, file.mimeType, file.buffer.toString('base64')],
  );

const file = (name, buffer, mimeType = 'image/png') => ({ name, buffer, mimeType });
const RED = [255, 0, 0, 255];
const GREEN = [0, 255, 0, 255];
const CLEAR = [0, 0, 0, 0];

test('a picture that is dropped anywhere, or pasted, is loaded', () =>
  withPage(async (page) => {
    const easel = page.locator('#easel');
    assert.ok(await give(page.locator('footer'), 'drop', file('red.png', png(32, Array(32).fill(RED)))), 'the page stays');
    await says(page, 'complete-status', 'red.png is loaded');
    assert.deepEqual(await pixelOf(easel, 3, 3), RED);
    await give(page.locator('body'), 'paste', file('green.png', png(32, Array(32).fill(GREEN))));
    await says(page, 'complete-status', 'green.png is loaded');
    assert.deepEqual(await pixelOf(easel, 3, 3), GREEN);
    await page.getByRole('button', { name: 'Undo' }).click();
    assert.deepEqual(await pixelOf(easel, 3, 3), RED);
  }, MODEL));

test('what is transparent in a picture counts as rubbed out', () =>
  withPage(async (page) => {
    const line = [...Array(16).fill(RED), ...Array(16).fill(CLEAR)];
    await page.locator('#file').setInputFiles(file('half.png', png(32, line)));
    await says(page, 'complete-status', 'half.png is loaded');
    const easel = page.locator('#easel');
    assert.deepEqual(await pixelOf(easel, 8, 3), RED);
    assert.equal((await pixelOf(easel, 8, 12))[3], 0);
    await page.getByRole('button', { name: 'Complete', exact: true }).click();
    await says(page, 'complete-status', 'Four completions');
  }, MODEL));

test('a photograph of 24 million pixels is loaded, and what is none is told', () =>
  withPage(async (page) => {
    const easel = page.locator('#easel');
    await page.locator('#file').setInputFiles(file('photo.png', png(4000, Array(6000).fill(GREEN))));
    await says(page, 'complete-status', 'photo.png is loaded');
    assert.deepEqual(await pixelOf(easel, 8, 8), GREEN);
    const before = await pixels(easel);
    const whole = png(32, Array(32).fill(RED));
    for (const [name, buffer, kind] of [
      ['cut.png', whole.subarray(0, 40), 'image/png'],
      ['empty.png', Buffer.alloc(0), 'image/png'],
      ['notes.png', Buffer.from('no picture'), 'image/png'],
      ['page.html', Buffer.from('<script>alert(1)</script>'), 'text/html'],
    ]) {
      await give(easel, 'drop', file(name, buffer, kind));
      await says(page, 'complete-status', `${name} is no picture that this browser reads`);
      assert.deepEqual(await pixels(easel), before, name);
    }
  }, MODEL));

test('a page that is still loading takes nothing, and breaks by nothing', () => {
  let release;
  const held = new Promise((done) => (release = done));
  return withPage(
    async (page) => {
      await page.locator('#facts', { hasText: 'Fetching' }).waitFor();
      for (let press = 0; press < 12; press++) {
        await page.keyboard.press('Tab');
        for (const key of [' ', 'z', 'ArrowUp', 'Enter']) if (!(await page.evaluate(() => document.activeElement.matches('a, select')))) await page.keyboard.press(key);
      }
      await page.evaluate(() => {
        for (const button of document.querySelectorAll('main button')) button.click();
      });
      await give(page.locator('body'), 'drop', file('red.png', png(32, Array(32).fill(RED))));
      release();
      await settled(page);
      await says(page, 'complete-status', 'Four completions');
    },
    {
      ...MODEL,
      ready: false,
      routes: {
        '**/*.safetensors': async (route) => {
          await held;
          await route.continue();
        },
      },
    },
  );
});

test('whoever clicks quickly gets what was asked for last', () =>
  withPage(async (page) => {
    const clicks = (...ids) => page.evaluate((ids) => ids.forEach((id) => document.getElementById(id).click()), ids);
    const complete = async (...ids) => {
      await page.locator('#complete-status').evaluate((status) => (status.textContent = ''));
      await clicks(...ids);
      await says(page, 'complete-status', 'Four completions');
      assert.ok(await page.locator('#stop-complete').isDisabled());
      return levelsOf(page, '#completions');
    };
    const third = await complete('again', 'again', 'do-complete', 'again', 'do-complete');
    assert.deepEqual(await complete('do-complete'), third, 'the third again, once');
    await clicks('another', 'another', 'another');
    await says(page, 'complete-status', 'Rub a part of the picture out');
    // One that is stopped at once is stopped.
    await page.locator('#pace').selectOption('pixels');
    await page.getByRole('button', { name: 'all', exact: true }).click();
    await clicks('do-complete', 'stop-complete');
    await says(page, 'complete-status', 'Stopped after');
    await page.locator('#complete-progress').evaluate((progress) => new Promise((done) => setTimeout(done, 300, progress)));
    assert.match(await page.locator('#complete-status').textContent(), /^Stopped after/);
  }, MODEL));

test('samples of a request of before never show, whatever each worker had to do', () =>
  withPage(
    async (page) => {
      const draw = async (count) => {
        await page.locator('#sample-status').evaluate((status) => (status.textContent = ''));
        await page.locator('#count').selectOption(String(count));
        await says(page, 'sample-status', `${count} images in`);
        return levelsOf(page, '#samples');
      };
      const four = await draw(4);
      // Of four images three workers get two, two and none.
      await page.evaluate(() => {
        const count = document.querySelector('#count');
        for (const value of ['64', '4']) {
          count.value = value;
          count.dispatchEvent(new Event('change'));
        }
      });
      await says(page, 'sample-status', '4 images in');
      await page.waitForTimeout(1500);
      assert.deepEqual(await levelsOf(page, '#samples'), four);
    },
    { ...MODEL, init: () => Object.defineProperty(navigator, 'hardwareConcurrency', { value: 3 }) },
  ));

test('a second tab draws beside the first one', () =>
  withPage(async (page, context) => {
    const second = await context.newPage();
    await second.goto(page.url());
    await settled(second);
    await Promise.all(
      [page, second].map(async (tab) => {
        await tab.locator('#seed').fill('3');
        await tab.getByRole('button', { name: 'Draw' }).click();
        await says(tab, 'sample-status', '16 images in');
      }),
    );
    assert.deepEqual(await levelsOf(page, '#samples'), await levelsOf(second, '#samples'));
  }, MODEL));

test('without a connection the page goes on, and says what it cannot fetch', () =>
  withPage(
    async (page, context) => {
      await context.setOffline(true);
      await page.getByRole('button', { name: 'Again' }).click();
      await says(page, 'complete-status', 'Four completions');
      await page.locator('#model').selectOption('mnist');
      await page.locator('#alert', { hasText: 'The weights of mnist cannot be fetched: is there a connection?' }).waitFor();
      assert.equal(await page.locator('#model').inputValue(), 'shapes');
      await context.setOffline(false);
      await page.locator('#model').selectOption('mnist');
      await page.locator('html[data-model="mnist"]').waitFor();
      await says(page, 'complete-status', 'Four completions');
    },
    { ...MODEL, errors: [/ERR_INTERNET_DISCONNECTED/] },
  ));

const instead = (change) => ({
  '**/worker.js': async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: change(await answer.text()) });
  },
});

test('a browser without SIMD instructions is told which have them', () =>
  withPage(
    async (page) => {
      await page.locator('#alert', { hasText: 'This browser has no SIMD instructions in WebAssembly' }).waitFor();
    },
    { ...MODEL, ready: false, routes: instead((text) => `${text}\nWebAssembly.validate = () => false;`) },
  ));

test('a browser without relaxed instructions takes the plain form', () =>
  withPage(
    async (page) => {
      assert.match(await page.locator('#form').textContent(), /plain SIMD/);
    },
    { ...MODEL, routes: instead((text) => text.replace('const RELAXED = [0,', 'const RELAXED = [1,')) },
  ));

for (const [what, pattern, text] of [
  ['the program', '**/pixel_iqn_web.js', 'The program cannot be loaded'],
  ['the instructions of the program', '**/*.wasm', 'The program cannot be loaded'],
  ['the worker', '**/worker.js', 'The program stopped: it could not be loaded'],
  ['the list of models', '**/manifest.json', 'The list of models cannot be fetched'],
]) {
  test(`${what} may be missing on the server`, () =>
    withPage(
      async (page) => {
        await page.locator('#alert', { hasText: text }).waitFor();
        assert.match(await page.locator('#alert').textContent(), /Reload the page\.$/);
      },
      { ...MODEL, ready: false, errors: [/404/, /MIME/], routes: { [pattern]: (route) => route.fulfill({ status: 404, body: '' }) } },
    ));
}

test('a worker that is missing is told also where the list of models comes later', () => {
  let list;
  const listed = new Promise((done) => (list = done));
  return withPage(
    async (page) => {
      const alert = page.locator('#alert', { hasText: 'The program stopped: it could not be loaded' });
      await alert.waitFor();
      list();
      await page.locator('#model:enabled').waitFor();
      await page.waitForTimeout(200);
      assert.ok(await alert.isVisible());
    },
    {
      ...MODEL,
      ready: false,
      errors: [/404/, /MIME/],
      routes: {
        '**/worker.js': (route) => route.fulfill({ status: 404, body: '' }),
        '**/manifest.json': async (route) => {
          const response = await route.fetch();
          await listed;
          await route.fulfill({ response });
        },
      },
    },
  );
});

test('the page is made of its own files alone, and names no other server but in links', () =>
  withPage(async (page) => {
    const { resources, links } = await page.evaluate(() => ({
      resources: performance.getEntriesByType('resource').map(({ name }) => new URL(name).origin),
      links: Array.from(document.querySelectorAll('link, script, img, iframe'), (element) => element.href || element.src),
    }));
    const here = new URL(page.url()).origin;
    for (const origin of [...resources, ...links.map((link) => new URL(link).origin)]) assert.equal(origin, here);
    const size = readFileSync(new URL('../page/index.html', import.meta.url), 'utf8');
    assert.ok(!/ style=| on[a-z]+=/.test(size), 'nothing that the policy would block');
  }, MODEL));
