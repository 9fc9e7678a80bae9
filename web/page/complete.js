/** The part that completes what a person paints. */

import { $, fillClasses } from './dom.js';
import { Easel } from './easel.js';
import { Stopped } from './engine.js';
import { Tiles } from './tiles.js';

const COUNT = 4;

/** Where the rows of each generation order begin, in the numbers of the library. */
const ORDERS = [
  'rows from the top',
  'rows from the top, right to left',
  'rows from the bottom',
  'rows from the bottom, right to left',
  'columns from the left',
  'columns from the left, upwards',
  'columns from the right',
  'columns from the right, upwards',
];

export class Complete {
  #engine;
  #model;
  #tiles;
  #seed = 0;
  #first = 0;
  #busy = 0;

  constructor(engine, onChoose) {
    this.#engine = engine;
    this.#tiles = new Tiles($('completions'), onChoose);
    this.easel = new Easel((problem) => this.#painted(problem));
    $('do-complete').addEventListener('click', () => this.run());
    $('again').addEventListener('click', () => {
      this.#first += COUNT;
      this.run();
    });
    $('stop-complete').addEventListener('click', () => engine.stop('complete'));
    $('another').addEventListener('click', () => this.another());
    $('complete-class').addEventListener('change', () => this.run());
    $('order').addEventListener('change', () => this.run());
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) $('pace').value = 'once';
  }

  open(model) {
    this.#model = model;
    this.#first = 0;
    this.easel.open(model);
    const all = model.unlabelled ? [] : [['turns', 'each in turn']];
    fillClasses($('complete-class'), model, all);
    if (model.unlabelled) $('complete-class').value = 'none';
    $('order').replaceChildren(
      new Option('follows the region', 'auto'),
      ...ORDERS.slice(0, model.orders).map((name, index) => new Option(name, index)),
    );
    $('order').disabled = model.orders < 2;
    if (model.orders < 2) $('order').replaceChildren(new Option(ORDERS[0], 0));
    this.#tiles.prepare(this.#names(), model.size);
    for (const id of ['do-complete', 'again']) $(id).disabled = false;
  }

  #names() {
    return Array.from({ length: COUNT }, (_, index) => `completion ${index + 1}`);
  }

  /** Draws a picture, and rubs half of it out. */
  async another(region) {
    const model = this.#model;
    const seed = this.#seed++;
    const label = model.classes.length ? [seed % model.classes.length] : [];
    try {
      const request = { count: 1, seed, labels: label };
      const { levels } = await this.#engine.run('picture', this.#job('draw', request, 'once'));
      if (model !== this.#model) return;
      this.easel.put(levels);
      if (label.length) $('complete-class').value = String(label[0]);
      this.#say('Rub a part of the picture out, or paint on it; then complete it.');
      if (region) this.easel.rubOut(region);
    } catch (error) {
      this.#failed(error);
    }
  }

  #job(kind, request, pace) {
    const [height, width] = this.#model.size;
    return { kind, request, pace, pixels: height * width };
  }

  /** Draws the completions. */
  async run() {
    const model = this.#model;
    const { levels, missing } = this.easel;
    if (!missing.some(Boolean)) {
      this.#say('Nothing is rubbed out: rub out a region first.');
      return;
    }
    this.#busy += 1;
    $('stop-complete').disabled = false;
    const total = model.size[0] * model.size[1];
    try {
      const wanted = $('order').value;
      const order = wanted === 'auto' ? await this.#engine.orderFor(missing) : Number(wanted);
      const labels = this.#labels();
      const request = { count: COUNT, seed: 0, first: this.#first, labels, order };
      this.#tiles.prepare(this.#names(), model.size);
      this.#say(`Drawing in ${ORDERS[order]}…`);
      const job = { ...this.#job('complete', request, $('pace').value), picture: levels.slice(), missing: missing.slice() };
      const result = await this.#engine.run('complete', job, ({ rgba, next, done }) => {
        if (model !== this.#model) return;
        this.#tiles.show(rgba, next);
        $('complete-progress').value = done / total;
      });
      if (model !== this.#model) return;
      this.#tiles.finish({ ...result, labels: labels.length ? Array.from({ length: COUNT }, (_, i) => labels[i % labels.length]) : Array(COUNT).fill(null), order });
      performance.mark('picture');
      $('complete-progress').value = 1;
      this.#say(`Four completions in ${ORDERS[order]}, in ${(result.milliseconds / 1000).toFixed(2)} seconds. Choose one to look inside.`);
    } catch (error) {
      this.#failed(error, total);
    } finally {
      this.#busy -= 1;
      if (!this.#busy) $('stop-complete').disabled = true;
    }
  }

  #labels() {
    const value = $('complete-class').value;
    if (!this.#model.classes.length) return [];
    if (value === 'none') return [null];
    if (value === 'turns') return Array.from({ length: COUNT }, (_, index) => (this.#first + index) % this.#model.classes.length);
    return [Number(value)];
  }

  #painted(problem) {
    if (problem) this.#say(problem);
  }

  #failed(error, total) {
    if (error instanceof Stopped) {
      this.#tiles.rest();
      // Another one has begun where there are two.
      if (this.#busy < 2) this.#say(`Stopped after ${error.done} of ${total} pixels.`);
    } else this.#say(error.message);
  }

  #say(text) {
    $('complete-status').textContent = text;
  }
}
