/** The part that completes what a person paints. */

import { $, disable, fillClasses } from './dom.js';
import { Easel } from './easel.js';
import { Stopped } from './engine.js';
import { ORDERS } from './orders.js';
import { Tiles } from './tiles.js';

const COUNT = 4;

export class Complete {
  #engine;
  #model;
  #tiles;
  #seed = 0;
  #first = 0;
  #runs = 0;

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
    if (!model) return;
    // Completions of the picture of before are none of this one.
    this.#runs++;
    this.#engine.stop('complete');
    this.#tiles.rest();
    disable($('stop-complete'), $('do-complete'));
    const seed = this.#seed++;
    const label = model.classes.length ? [seed % model.classes.length] : [];
    try {
      const request = { count: 1, seed, labels: label };
      const { levels } = await this.#engine.run('picture', this.#job('draw', request, 'once'));
      if (model !== this.#model) return;
      this.easel.put(levels);
      // Where a model can do without a class, four completions may be of several.
      if (label.length && !model.unlabelled) $('complete-class').value = String(label[0]);
      this.#say('Rub a part of the picture out, or paint on it; then complete it.');
      if (region) this.easel.rubOut(region);
    } catch (error) {
      // One that was stopped made room for the next.
      if (!(error instanceof Stopped)) this.#say(error.message);
    }
  }

  #job(kind, request, pace) {
    const [height, width] = this.#model.size;
    return { kind, request, pace, pixels: height * width };
  }

  /** Draws the completions. */
  async run() {
    const model = this.#model;
    if (!model) return;
    const { levels, missing } = this.easel;
    if (!missing.some(Boolean)) {
      this.#say('Nothing is rubbed out: rub out a region first.');
      return;
    }
    const run = ++this.#runs;
    $('stop-complete').disabled = false;
    const total = model.size[0] * model.size[1];
    const labels = this.#labels();
    const wanted = $('order').value;
    const request = { count: COUNT, seed: 0, first: this.#first, labels, order: wanted === 'auto' ? null : Number(wanted) };
    const job = { ...this.#job('complete', request, $('pace').value), picture: levels.slice(), missing: missing.slice() };
    this.#tiles.prepare(this.#names(), model.size);
    try {
      const result = await this.#engine.run('complete', job, ({ rgba, next, done, order }) => {
        if (model !== this.#model || run !== this.#runs) return;
        if (order !== undefined) this.#say(`Drawing in ${ORDERS[order]}…`);
        this.#tiles.show(rgba, next);
        $('complete-progress').value = done / total;
      });
      if (model !== this.#model || run !== this.#runs) return;
      this.#tiles.finish({ ...result, labels: Array.from({ length: COUNT }, (_, index) => labels[index % labels.length] ?? null) });
      performance.mark('picture');
      $('complete-progress').value = 1;
      // What is watched takes the time of the pauses for it.
      const time = job.pace === 'once' ? `, in ${(result.milliseconds / 1000).toFixed(2)} seconds` : '';
      this.#say(`Four completions in ${ORDERS[result.order]}${time}. Choose one to look inside.`);
    } catch (error) {
      if (run === this.#runs) this.#failed(error, total);
    } finally {
      if (run === this.#runs) disable($('stop-complete'), $('do-complete'));
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
    this.#tiles.rest();
    this.#say(error instanceof Stopped ? `Stopped after ${error.done} of ${total} pixels.` : error.message);
  }

  #say(text) {
    $('complete-status').textContent = text;
  }
}
