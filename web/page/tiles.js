/** Pictures side by side, each a button that chooses it for a look inside. */

import { make, showPen, showRgba } from './dom.js';

export class Tiles {
  #list;
  #tiles = [];
  #onChoose;

  constructor(list, onChoose) {
    this.#list = list;
    this.#onChoose = onChoose;
  }

  /** Makes room for pictures of a size, with a name for each. */
  prepare(names, size) {
    this.size = size;
    this.result = null;
    if (this.#tiles.length !== names.length) {
      this.#tiles = names.map((_, index) => {
        const canvas = make('canvas', { 'aria-hidden': 'true' });
        const pen = make('div', { className: 'pen', hidden: true });
        const button = make('button', { type: 'button', className: 'tile', disabled: true, 'aria-pressed': 'false' }, canvas, pen);
        button.addEventListener('click', () => this.choose(index));
        this.#list.append(make('li', {}, button));
        return { canvas, pen, button };
      });
      this.#list.replaceChildren(...this.#tiles.map(({ button }) => button.parentElement));
    }
    names.forEach((name, index) => {
      const { button, canvas } = this.#tiles[index];
      button.setAttribute('aria-label', `Look inside ${name}`);
      button.setAttribute('aria-pressed', 'false');
      button.disabled = true;
      showRgba(canvas, new Uint8ClampedArray(size[0] * size[1] * 4), size);
    });
  }

  /** Shows all pictures, `[pictures, height, width, 4]`, and where the next pixel is drawn. */
  show(rgba, next) {
    const [height, width] = this.size;
    const bytes = height * width * 4;
    this.#tiles.forEach(({ canvas, pen }, index) => {
      const pixels = rgba.subarray(index * bytes, (index + 1) * bytes);
      showRgba(canvas, new Uint8ClampedArray(pixels), this.size);
      showPen(pen, next?.length ? next : null, this.size);
    });
  }

  /** Takes the finished pictures, which then can be chosen. */
  finish(result) {
    this.result = result;
    this.show(result.rgba);
    for (const { button } of this.#tiles) button.disabled = false;
  }

  /** Takes the pens away, where drawing was stopped. */
  rest() {
    for (const { pen } of this.#tiles) pen.hidden = true;
  }

  choose(index) {
    if (!this.result) return;
    for (const pressed of document.querySelectorAll('.tile[aria-pressed="true"]')) pressed.setAttribute('aria-pressed', 'false');
    this.#tiles[index].button.setAttribute('aria-pressed', 'true');
    const { levels, labels, order } = this.result;
    const values = levels.length / this.#tiles.length;
    this.#onChoose({ levels: levels.slice(index * values, (index + 1) * values), label: labels[index], order });
  }
}
