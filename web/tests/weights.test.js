/** Weights: fetched once, verified, kept, and what is told where that fails. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { says, settled, withPage } from './browser.js';

const MODEL = { query: '?model=shapes' };

/** A list of models that has `shapes` a second time under another name, with another first class. */
const withCopy = {
  '**/manifest.json': async (route) => {
    const answer = await route.fetch();
    const { models } = await answer.json();
    const shapes = models.find(({ name }) => name === 'shapes');
    const weights = { ...shapes.weights, file: `${shapes.weights.file}?copy` };
    const classes = ['the first', ...shapes.classes.slice(1)];
    await route.fulfill({ response: answer, json: { models: [shapes, { ...shapes, name: 'copy', classes, weights }] } });
  },
};

test('damaged weights are told, and the page says what to do', () =>
  withPage(
    async (page) => {
      await page.locator('#alert', { hasText: 'The weights of shapes are damaged' }).waitFor();
      assert.match(await page.locator('#alert').textContent(), /Reload the page/);
      assert.ok(await page.getByRole('button', { name: 'Complete', exact: true }).isDisabled());
    },
    {
      ...MODEL,
      ready: false,
      routes: {
        '**/*.safetensors': async (route) => {
          const answer = await route.fetch();
          const body = await answer.body();
          body[body.length >> 1] ^= 1;
          await route.fulfill({ response: answer, body });
        },
      },
    },
  ));

test('weights that are cut short are told', () =>
  withPage(
    async (page) => {
      await page.locator('#alert', { hasText: 'The weights of shapes are damaged: 1000 of' }).waitFor();
      // Nothing can be done with a page without a model, and nothing breaks.
      await page.keyboard.press('Tab');
      await page.locator('#another').click({ force: true, timeout: 1000 }).catch(() => {});
    },
    {
      ...MODEL,
      ready: false,
      routes: {
        '**/*.safetensors': async (route) => {
          const answer = await route.fetch();
          await route.fulfill({ response: answer, body: (await answer.body()).subarray(0, 1000) });
        },
      },
    },
  ));

test('weights that are not there are told', () =>
  withPage(
    async (page) => {
      await page.locator('#alert', { hasText: 'not on the server, which answered 404' }).waitFor();
    },
    {
      ...MODEL,
      ready: false,
      errors: [/404/],
      routes: { '**/*.safetensors': (route) => route.fulfill({ status: 404, body: '' }) },
    },
  ));

test('weights are fetched once and kept, and what is kept is verified', () => {
  let fetched = 0;
  const count = (route) => {
    fetched += 1;
    return route.continue();
  };
  return withPage(
    async (page) => {
      assert.equal(fetched, 1);
      await page.reload();
      await settled(page);
      assert.equal(fetched, 1, 'from the cache');
      await page.evaluate(async () => {
        const store = await caches.open('pixel-iqn-weights');
        for (const request of await store.keys()) await store.put(request, new Response(new Uint8Array(9)));
      });
      await page.reload();
      await settled(page);
      assert.equal(fetched, 2, 'fetched anew in the place of what was damaged');
    },
    { ...MODEL, routes: { '**/*.safetensors': count } },
  );
});

test('of two models that are chosen in turn, the last is shown', () => {
  const release = {};
  const held = new Promise((done) => (release.first = done));
  return withPage(
    async (page) => {
      await page.locator('#model option', { hasText: 'copy' }).waitFor({ state: 'attached' });
      await page.locator('#model').selectOption('copy');
      await settled(page);
      release.first();
      await page.waitForTimeout(500);
      assert.equal(await page.locator('html').getAttribute('data-model'), 'copy');
      assert.match(await page.locator('#command').textContent(), /--model copy/);
      await page.locator('#sample-class').selectOption({ label: 'the first' });
      await says(page, 'sample-status', '16 images in');
      assert.ok(await page.locator('#alert').isHidden());
    },
    {
      ...MODEL,
      ready: false,
      routes: {
        ...withCopy,
        '**/*.safetensors': async (route) => {
          await held;
          await route.continue().catch(() => {});
        },
      },
    },
  );
});

test('every model of the page draws', () =>
  withPage(async (page) => {
    const names = await page.locator('#model option').allTextContents();
    for (const name of names) {
      await page.locator('#reading').evaluate((reading) => (reading.textContent = ''));
      await page.locator('#model').selectOption('shapes');
      await page.locator('#model').selectOption(name);
      await page.locator(`html[data-model="${name}"]`).waitFor();
      await says(page, 'complete-status', 'Four completions');
      await settled(page);
    }
  }));

test('where another model cannot be had, the one before stays, and a second try may succeed', () => {
  let broken = true;
  return withPage(
    async (page) => {
      await page.locator('#model').selectOption('copy');
      await page.locator('#alert', { hasText: 'The weights of copy are not on the server' }).waitFor();
      assert.equal(await page.locator('#model').inputValue(), 'shapes');
      assert.match(await page.locator('#facts').textContent(), /16 × 16/);
      await page.getByRole('button', { name: 'Again' }).click();
      await says(page, 'complete-status', 'Four completions');
      broken = false;
      await page.locator('#model').selectOption('copy');
      await page.locator('html[data-model="copy"]').waitFor();
      assert.ok(await page.locator('#alert').isHidden());
      await says(page, 'complete-status', 'Four completions');
    },
    {
      ...MODEL,
      errors: [/404/],
      routes: {
        ...withCopy,
        '**/*.safetensors?copy': (route) => (broken ? route.fulfill({ status: 404, body: '' }) : route.continue()),
      },
    },
  );
});

test('a model that was chosen, left and chosen again is the one that is shown', () => {
  const waiting = [];
  return withPage(
    async (page) => {
      for (const name of ['copy', 'shapes', 'copy']) await page.locator('#model').selectOption(name);
      await page.waitForTimeout(300);
      for (const release of waiting) release();
      await page.locator('html[data-model="copy"]').waitFor();
      await settled(page);
      assert.match(await page.locator('#form').textContent(), /^The program runs with/);
      assert.match(await page.locator('#command').textContent(), /--model copy/);
      assert.ok(await page.locator('#alert').isHidden());
    },
    {
      ...MODEL,
      routes: {
        ...withCopy,
        '**/*.safetensors?copy': async (route) => {
          await new Promise((done) => waiting.push(done));
          await route.continue().catch(() => {});
        },
      },
    },
  );
});

test('of a model, the browser keeps the last weights alone', () =>
  withPage(async (page) => {
    const kept = () =>
      page.evaluate(async () => {
        const store = await caches.open('pixel-iqn-weights');
        return (await store.keys()).map(({ url }) => new URL(url).pathname.split('/').pop()).sort();
      });
    const [now] = await kept();
    await page.evaluate(async () => {
      const store = await caches.open('pixel-iqn-weights');
      for (const key of await store.keys()) await store.delete(key);
      for (const name of ['shapes-0123456789ab', 'others-0123456789ab']) {
        await store.put(new URL(`models/${name}.safetensors`, location.href), new Response('old'));
      }
    });
    await page.reload();
    await settled(page);
    assert.deepEqual(await kept(), ['others-0123456789ab.safetensors', now]);
  }, MODEL));

test('how much of the weights has come is seen', () =>
  withPage(async (page) => {
    const seen = await page.evaluate(async () => {
      const { weightsOf } = await import('./store.js');
      const { models } = await (await fetch('manifest.json')).json();
      const shapes = models.find(({ name }) => name === 'shapes');
      await caches.delete('pixel-iqn-weights');
      const parts = [];
      const { bytes, from } = await weightsOf(shapes, (come) => parts.push(come));
      return { parts, from, bytes: bytes.byteLength, expected: shapes.weights.bytes };
    });
    assert.equal(seen.from, 'network');
    assert.equal(seen.bytes, seen.expected);
    assert.equal(seen.parts.at(-1), seen.expected);
    assert.ok(seen.parts.every((part, index) => !index || part > seen.parts[index - 1]));
  }, MODEL));
