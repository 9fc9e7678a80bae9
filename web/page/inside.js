/** The part that shows the distribution of a value given those before it. */

import { $, chosen, placeOf, showLevels, showPen } from './dom.js';
import { Stopped } from './engine.js';
import { rank } from './orders.js';
import { drawDensity, drawQuantiles, probability, quantile } from './plots.js';

/** How much is seen of the values that come after the one looked at, of which the network knew nothing. */
const LATER = 70;

const CHANNELS = ['red', 'green', 'blue'];

export class Inside {
  #engine;
  #model;
  #canvas = $('inside-picture');
  #picture;
  #functions;
  #place = [0, 0];
  /** Whether the person chose the place, which then holds for the next pictures too. */
  #pointed = false;

  constructor(engine) {
    this.#engine = engine;
    const point = (event) => this.#model && this.#move(placeOf(event, this.#canvas, this.#model.size));
    this.#canvas.addEventListener('pointermove', point);
    this.#canvas.addEventListener('pointerdown', (event) => {
      this.#pointed = true;
      point(event);
    });
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
    this.#pointed = false;
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
    this.#showPicture();
    $('reading').textContent = 'Computing the quantile functions of all values…';
    const [height, width] = model.size;
    const job = { kind: 'quantiles', picture: picture.levels, label: picture.label ?? -1, order: picture.order, pixels: height * width };
    try {
      const functions = await this.#engine.run('inside', job);
      if (model !== this.#model || picture !== this.#picture) return;
      this.#functions = functions;
      if (!this.#pointed) this.#place = this.#leastSure();
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

  /** The pixel whose values the network knew least: where the middle half of the probability is widest. */
  #leastSure() {
    const { channels, size } = this.#model;
    const [height, width] = size;
    let [widest, place] = [-1, this.#place];
    for (let at = 0; at < height * width; at++) {
      const between = Array.from({ length: channels }, (_, channel) => {
        const values = this.#values(channel * height * width + at);
        const [low, high] = [0.25, 0.75].map((tau) => Math.min(1, Math.max(0, quantile(this.#functions.levels, values, tau))));
        return high - low;
      });
      const most = Math.max(...between);
      if (most > widest) [widest, place] = [most, [Math.floor(at / width), at % width]];
    }
    return place;
  }

  /** The quantiles of a value of the picture, one for each level. */
  #values(at) {
    const { levels, quantiles } = this.#functions;
    const values = quantiles.length / levels.length;
    return Array.from(levels, (_, k) => quantiles[k * values + at]);
  }

  #key(event) {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    // With a key of the system, an arrow is the browser's.
    if (!move || !this.#model || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#pointed = true;
    this.#move(this.#place.map((at, axis) => Math.min(this.#model.size[axis] - 1, Math.max(0, at + move[axis]))));
  }

  /** Shows the picture, and that only the pixels before the place were known. */
  #showPicture() {
    const [height, width] = this.#model.size;
    const { levels, order } = this.#picture;
    const before = rank(order, this.#place, [height, width]);
    const later = Array.from({ length: height * width }, (_, pixel) => rank(order, [Math.floor(pixel / width), pixel % width], [height, width]) > before);
    showLevels(this.#canvas, levels, this.#model, later, LATER);
    showPen($('inside-cursor'), this.#place, this.#model.size);
  }

  #show() {
    if (!this.#picture || !this.#functions) return;
    const { channels, size } = this.#model;
    const [height, width] = size;
    const [row, column] = this.#place;
    this.#showPicture();
    const channel = channels < 3 ? 0 : Number(chosen('channel'));
    const at = (channel * height + row) * width + column;
    const { levels } = this.#functions;
    const values = this.#values(at);
    const drawn = this.#picture.levels[at] / 255;
    drawQuantiles($('quantile-plot'), levels, values, drawn);
    drawDensity($('density-plot'), levels, values, drawn);
    const level = (tau) => Math.round(255 * Math.min(1, Math.max(0, quantile(levels, values, tau))));
    const [low, median, high] = [0.25, 0.5, 0.75].map(level);
    const half = low === high ? `at least half of the probability is at the level ${low}` : `half of the probability lies between the levels ${low} and ${high}, with the median at ${median}`;
    const of = channels < 3 ? '' : `, ${CHANNELS[channel]}`;
    // A level stands for all values that round to it; the last one also for those above.
    const own = this.#picture.levels[at];
    const percent = own === 255 ? 100 : Math.round(100 * probability(levels, values, (own + 0.5) / 255));
    $('reading').textContent =
      `Row ${row + 1}, column ${column + 1}${of}: given the values before it, ${half}. ` +
      `The picture has ${own}: ${percent}% of the probability is at or below it.`;
  }
}
