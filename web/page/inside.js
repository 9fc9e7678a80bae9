/** The part that shows the distribution of a value given those before it. */

import { $, chosen, placeOf, showLevels, showPen } from './dom.js';
import { Stopped } from './engine.js';
import { drawDensity, drawQuantiles, probability, quantile } from './plots.js';

const CHANNELS = ['red', 'green', 'blue'];

export class Inside {
  #engine;
  #model;
  #canvas = $('inside-picture');
  #picture;
  #functions;
  #place = [0, 0];

  constructor(engine) {
    this.#engine = engine;
    const point = (event) => this.#model && this.#move(placeOf(event, this.#canvas, this.#model.size));
    this.#canvas.addEventListener('pointermove', point);
    this.#canvas.addEventListener('pointerdown', point);
    this.#canvas.addEventListener('keydown', (event) => this.#key(event));
    for (const input of document.querySelectorAll('input[name="channel"]')) {
      input.addEventListener('change', () => this.#show());
    }
  }

  open(model) {
    this.#model = model;
    this.#picture = this.#functions = null;
    const [height, width] = model.size;
    this.#place = [height >> 1, width >> 1];
    $('channels').hidden = model.channels < 3;
    showLevels(this.#canvas, new Uint8Array(model.channels * height * width), model, new Uint8Array(height * width).fill(1));
    showPen($('inside-cursor'), null, model.size);
    $('reading').textContent = 'The distributions appear here.';
  }

  /** Looks inside a picture: its levels, its class or null, and the order that it was drawn in. */
  async look(picture) {
    const model = this.#model;
    this.#picture = picture;
    this.#functions = null;
    showLevels(this.#canvas, picture.levels, model);
    showPen($('inside-cursor'), this.#place, model.size);
    $('reading').textContent = 'Computing the quantile functions of all values…';
    const [height, width] = model.size;
    const job = { kind: 'quantiles', picture: picture.levels, label: picture.label ?? -1, order: picture.order, pixels: height * width };
    try {
      const functions = await this.#engine.run('inside', job);
      if (model !== this.#model || picture !== this.#picture) return;
      this.#functions = functions;
      this.#show();
    } catch (error) {
      if (!(error instanceof Stopped)) $('reading').textContent = error.message;
    }
  }

  #move(place) {
    if (String(place) === String(this.#place) && this.#functions) return;
    this.#place = place;
    this.#show();
  }

  #key(event) {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move || !this.#model) return;
    event.preventDefault();
    this.#move(this.#place.map((at, axis) => Math.min(this.#model.size[axis] - 1, Math.max(0, at + move[axis]))));
  }

  #show() {
    if (!this.#picture || !this.#functions) return;
    const { channels, size } = this.#model;
    const [height, width] = size;
    const [row, column] = this.#place;
    showPen($('inside-cursor'), this.#place, size);
    const channel = channels < 3 ? 0 : Number(chosen('channel'));
    const at = (channel * height + row) * width + column;
    const { levels, quantiles } = this.#functions;
    const values = Array.from(levels, (_, k) => quantiles[k * channels * height * width + at]);
    const drawn = this.#picture.levels[at] / 255;
    drawQuantiles($('quantile-plot'), levels, values, drawn);
    drawDensity($('density-plot'), levels, values, drawn);
    const level = (tau) => Math.round(255 * Math.min(1, Math.max(0, quantile(levels, values, tau))));
    const of = channels < 3 ? '' : `, ${CHANNELS[channel]}`;
    const percent = Math.round(100 * probability(levels, values, drawn));
    $('reading').textContent =
      `Row ${row + 1}, column ${column + 1}${of}: given the values before it, half of the probability lies between the ` +
      `levels ${level(0.25)} and ${level(0.75)}, with the median at ${level(0.5)}. ` +
      `The picture has ${this.#picture.levels[at]}: ${percent}% of the probability is at or below it.`;
  }
}
