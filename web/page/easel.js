/** The picture that a person paints: its levels, and which pixels are rubbed out. */

import { $, chosen, make, placeOf, shape, showLevels, showPen } from './dom.js';

const COLOURS = ['#1f2328', '#ffffff', '#c8372d', '#e8a13a', '#f2dc5d', '#4f9a54', '#3c78c8', '#7b4fa3'];
const GREYS = ['#ffffff', '#bfbfbf', '#7f7f7f', '#404040', '#000000'];
const NAMES = {
  '#1f2328': 'near black', '#ffffff': 'white', '#c8372d': 'red', '#e8a13a': 'orange', '#f2dc5d': 'yellow',
  '#4f9a54': 'green', '#3c78c8': 'blue', '#7b4fa3': 'purple', '#bfbfbf': 'light grey', '#7f7f7f': 'grey',
  '#404040': 'dark grey', '#000000': 'black',
};

/** The levels of a bitmap in the size of a model, and which pixels are more transparent than not. */
function sampled(bitmap, { channels, size: [height, width] }) {
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.imageSmoothingQuality = 'high';
  const [w, h] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  const { data } = context.getImageData(0, 0, width, height);
  const plane = height * width;
  const levels = new Uint8Array(channels * plane);
  const missing = new Uint8Array(plane);
  for (let pixel = 0; pixel < plane; pixel++) {
    const [red, green, blue, opacity] = data.subarray(pixel * 4, pixel * 4 + 4);
    const grey = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    const values = channels < 3 ? [grey] : [red, green, blue];
    values.forEach((value, channel) => (levels[channel * plane + pixel] = value));
    missing[pixel] = opacity < 128 ? 1 : 0;
  }
  return [levels, missing];
}

export class Easel {
  #canvas = $('easel');
  #cursor = $('easel-cursor');
  #model;
  #history = [];
  #place = [0, 0];
  #last = null;
  #loads = 0;

  /** `onChange` is called after each stroke. */
  constructor(onChange) {
    this.onChange = onChange;
    this.#canvas.addEventListener('pointerdown', (event) => this.#down(event));
    this.#canvas.addEventListener('pointermove', (event) => this.#move(event));
    this.#canvas.addEventListener('pointerup', () => this.#up());
    this.#canvas.addEventListener('pointercancel', () => this.#up());
    this.#canvas.addEventListener('pointerleave', () => this.#hover(null));
    this.#canvas.addEventListener('keydown', (event) => this.#key(event));
    this.#canvas.addEventListener('focus', () => this.#canvas.matches(':focus-visible') && this.#hover(this.#place));
    this.#canvas.addEventListener('blur', () => this.#hover(null));
    $('undo').addEventListener('click', () => this.undo());
    for (const button of document.querySelectorAll('[data-region]')) {
      button.addEventListener('click', () => this.rubOut(button.dataset.region));
    }
    $('file').addEventListener('change', ({ target }) => {
      const [file] = target.files;
      target.value = '';
      this.#load(file);
    });
    // A picture that misses the canvas would otherwise take the place of the page.
    for (const type of ['dragover', 'drop']) {
      document.addEventListener(type, (event) => {
        if (!event.dataTransfer.types.includes('Files')) return;
        event.preventDefault();
        this.#load(event.dataTransfer.files[0]);
      });
    }
    document.addEventListener('paste', (event) => this.#load(event.clipboardData.files[0]));
    $('negative').addEventListener('click', () => this.#negative());
    $('colour').addEventListener('input', () => {
      for (const input of $('swatches').querySelectorAll('input')) input.checked = false;
      this.#choose('brush');
    });
  }

  /** Takes an empty picture of a model's size. */
  open(model) {
    this.#model = model;
    const [height, width] = model.size;
    this.levels = new Uint8Array(model.channels * height * width);
    this.missing = new Uint8Array(height * width).fill(1);
    this.#history = [];
    this.#place = [height >> 1, width >> 1];
    const colours = model.channels < 3 ? GREYS : COLOURS;
    $('any-colour').hidden = model.channels < 3;
    $('negative').hidden = model.channels >= 3;
    const swatches = colours.map((colour, index) => {
      const input = make('input', { type: 'radio', name: 'swatch', value: colour, checked: index === 0, 'aria-label': NAMES[colour] });
      input.addEventListener('change', () => this.#choose('brush'));
      const dot = shape('svg', { viewBox: '0 0 2 2', 'aria-hidden': 'true' });
      dot.append(shape('rect', { width: 2, height: 2, fill: colour }));
      return make('label', { title: NAMES[colour] }, input, dot);
    });
    $('swatches').replaceChildren($('swatches').querySelector('legend'), ...swatches);
    $('width').value = Math.max(1, Math.round(width / 8));
    this.#show();
  }

  /** Shows a picture, which is whole unless pixels of it are missing. */
  put(levels, missing) {
    this.#remember();
    this.levels = levels.slice();
    this.missing = missing ?? new Uint8Array(this.missing.length);
    this.#changed();
  }

  undo() {
    const before = this.#history.pop();
    if (!before) return;
    this.levels = before.levels;
    this.missing = before.missing;
    this.#changed();
  }

  /** Rubs a part of the picture out: a half, the middle, or all of it. */
  rubOut(region) {
    if (!this.#model) return;
    const [height, width] = this.#model.size;
    const middle = (at, count) => at >= count / 4 && at < (3 * count) / 4;
    const inside = {
      left: (_, column) => column < width / 2,
      right: (_, column) => column >= width / 2,
      top: (row) => row < height / 2,
      bottom: (row) => row >= height / 2,
      middle: (row, column) => middle(row, height) && middle(column, width),
      all: () => true,
    }[region];
    this.#remember();
    for (let pixel = 0; pixel < height * width; pixel++) {
      if (inside(Math.floor(pixel / width), pixel % width)) this.missing[pixel] = 1;
    }
    this.#changed();
  }

  #choose(tool) {
    document.querySelector(`input[name="tool"][value="${tool}"]`).checked = true;
  }

  #colour() {
    const hex = chosen('swatch') ?? $('colour').value;
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }

  /** Paints or rubs out a dot of the brush's width. */
  #dot([row, column]) {
    const [height, width] = this.#model.size;
    const size = Number($('width').value);
    const radius = size / 2;
    const rub = chosen('tool') === 'eraser';
    const colour = this.#colour();
    const reach = Math.ceil(radius);
    // The middle of an even brush is a corner of pixels.
    const shift = size % 2 === 0 ? 0.5 : 0;
    for (let y = row - reach; y <= row + reach; y++) {
      for (let x = column - reach; x <= column + reach; x++) {
        const distance = Math.hypot(y - row + shift, x - column + shift);
        if (y < 0 || x < 0 || y >= height || x >= width || distance > Math.max(radius - 0.2, 0.1)) continue;
        const pixel = y * width + x;
        this.missing[pixel] = rub ? 1 : 0;
        for (let channel = 0; !rub && channel < this.#model.channels; channel++) {
          this.levels[channel * height * width + pixel] = colour[channel % 3];
        }
      }
    }
  }

  #stroke(from, to) {
    const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
    for (let step = 0; step <= steps; step++) {
      this.#dot([0, 1].map((axis) => Math.round(from[axis] + ((to[axis] - from[axis]) * step) / steps)));
    }
    this.#show();
  }

  #down(event) {
    // A second finger is none that paints.
    if (!this.#model || event.button > 0 || !event.isPrimary) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#remember();
    this.#last = placeOf(event, this.#canvas, this.#model.size);
    this.#stroke(this.#last, this.#last);
  }

  #move(event) {
    if (!this.#model || !event.isPrimary) return;
    const place = placeOf(event, this.#canvas, this.#model.size);
    if (this.#last) {
      this.#stroke(this.#last, place);
      this.#last = place;
    }
    this.#hover(place);
  }

  #up() {
    if (!this.#last) return;
    this.#last = null;
    this.#changed();
  }

  #hover(place) {
    showPen(this.#cursor, place, this.#model?.size ?? [1, 1]);
  }

  #key(event) {
    // With a key of the system, all but Z is the browser's.
    const system = event.ctrlKey || event.metaKey;
    if (event.altKey || (system && (event.shiftKey || event.key.toLowerCase() !== 'z'))) return;
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const key = event.key.toLowerCase();
    if (move && this.#model) {
      this.#place = this.#place.map((at, axis) => Math.min(this.#model.size[axis] - 1, Math.max(0, at + move[axis])));
      if (event.shiftKey) this.#press();
      this.#hover(this.#place);
      this.#tell();
    } else if (event.key === ' ') {
      this.#press();
      this.#tell();
    }
    else if (key === 'b') this.#choose('brush');
    else if (key === 'e') this.#choose('eraser');
    else if (key === 'z') this.undo();
    else return;
    event.preventDefault();
  }

  /** Tells those who do not see the picture what is at the place of the keyboard. */
  #tell() {
    if (!this.#model) return;
    const [row, column] = this.#place;
    const [height, width] = this.#model.size;
    const at = row * width + column;
    const levels = Array.from({ length: this.#model.channels }, (_, channel) => this.levels[channel * height * width + at]);
    const value = levels.length < 3 ? `grey ${levels[0]} of 255` : `red ${levels[0]}, green ${levels[1]}, blue ${levels[2]} of 255`;
    $('easel-place').textContent = `Row ${row + 1}, column ${column + 1}: ${this.missing[at] ? 'rubbed out' : value}`;
  }

  #press() {
    if (!this.#model) return;
    this.#remember();
    this.#stroke(this.#place, this.#place);
    this.#changed();
  }

  /** Loads a picture: its largest part of the model's proportions, from the middle. What is transparent counts as rubbed out. */
  async #load(file) {
    if (!file || !this.#model) return;
    const model = this.#model;
    const load = ++this.#loads;
    this.onChange(`Reading ${file.name}…`);
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      this.onChange(`${file.name} is no picture that this browser reads, or is too large for it.`);
      return;
    }
    // Another one may have been given in the meantime.
    if (model === this.#model && load === this.#loads) {
      this.put(...sampled(bitmap, model));
      this.onChange(`${file.name} is loaded. Rub a part of it out, or paint on it; then complete it.`);
    }
    bitmap.close();
  }

  /** Turns dark into light. */
  #negative() {
    if (!this.#model) return;
    this.#remember();
    this.levels = this.levels.map((level) => 255 - level);
    this.#changed();
  }

  #remember() {
    this.#history.push({ levels: this.levels.slice(), missing: this.missing.slice() });
    if (this.#history.length > 50) this.#history.shift();
  }

  #changed() {
    this.#show();
    this.onChange();
  }

  #show() {
    showLevels(this.#canvas, this.levels, this.#model, this.missing);
  }
}
