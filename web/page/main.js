/** The page: it reads the list of models, and gives the chosen one to the parts. */

import { Complete } from './complete.js';
import { Crew } from './crew.js';
import { $ } from './dom.js';
import { Engine } from './engine.js';
import { Inside } from './inside.js';
import { Sample } from './sample.js';

const asked = new URLSearchParams(location.search);

function fail(message) {
  $('alert').textContent = message;
  $('alert').hidden = false;
  $('facts').textContent = '';
}

const engine = new Engine(fail);
const crew = new Crew(engine, fail);
const inside = new Inside(engine);
const complete = new Complete(engine, (picture) => inside.look(picture));
const sample = new Sample(crew, (picture) => inside.look(picture));

function facts({ size: [height, width], channels, classes, orders, weights }) {
  const kind = channels < 3 ? 'grey' : 'colour';
  const parts = [`${height} × ${width} pixels, ${kind}`];
  if (classes.length) parts.push(`${classes.length} classes`);
  parts.push(orders > 1 ? `${orders} generation orders` : 'one generation order');
  parts.push(`${(weights.bytes / 1e6).toFixed(1)} MB`);
  return parts.join(' · ');
}

/** Counts the models that were chosen, of which the last one is wanted. */
let openings = 0;

/** The model that the parts have. */
let shown;

async function open(model) {
  const opening = ++openings;
  const wanted = () => opening === openings;
  for (const slot of ['picture', 'complete', 'sample', 'inside']) crew.stop(slot);
  crew.close();
  const form = asked.get('form') ?? undefined;
  $('alert').hidden = true;
  $('facts').textContent = 'Fetching the weights…';
  let opened;
  try {
    opened = await engine.open(model, form, ({ part }) => {
      if (wanted() && part < 1) $('facts').textContent = `Fetching the weights: ${Math.floor(100 * part)}%`;
    });
  } catch (error) {
    if (!wanted()) return;
    fail(error.message);
    if (shown) {
      $('model').value = shown.name;
      $('facts').textContent = facts(shown);
      // The other workers still have it.
      crew.open(shown, form).catch(() => crew.close());
    }
    return;
  }
  if (!wanted()) return;
  shown = model;
  $('facts').textContent = facts(model);
  const text = opened.form === 'relaxed' ? 'with relaxed SIMD: a seed gives the picture of the command line' : 'with plain SIMD: now and then a picture of a seed differs a little from that of the command line';
  $('form').textContent = `The program runs ${text}.`;
  for (const part of [complete, sample, inside]) part.open(model);
  document.querySelector('main').inert = false;
  document.documentElement.dataset.model = model.name;
  await complete.another('right');
  // Another model may have been chosen in the meantime, as after each wait.
  if (!wanted()) return;
  performance.mark('first-picture');
  await complete.run();
  if (!wanted()) return;
  await crew.open(model, form).catch(() => crew.close());
  if (!wanted()) return;
  await sample.run();
  if (!wanted()) return;
  sample.choose(0);
}

async function begin() {
  let models;
  try {
    const answer = await fetch('manifest.json');
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    ({ models } = await answer.json());
  } catch (error) {
    fail(`The list of models cannot be fetched: ${error.message}. Reload the page.`);
    return;
  }
  $('model').replaceChildren(...models.map(({ name }) => new Option(name, name)));
  $('model').disabled = false;
  const of = (name) => models.find((model) => model.name === name);
  const first = of(asked.get('model')) ?? models[0];
  $('model').value = first.name;
  $('model').addEventListener('change', () => open(of($('model').value)));
  await open(first);
}

begin();
