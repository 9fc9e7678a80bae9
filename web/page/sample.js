/** The part that draws samples of a seed. */

import { $, chosen, disable, fillClasses } from './dom.js';
import { Stopped } from './engine.js';
import { Tiles } from './tiles.js';

const TAUS = { constant: ['tau'], interval: ['low', 'high'] };

export class Sample {
  #crew;
  #model;
  #tiles;
  #runs = 0;

  constructor(crew, onChoose) {
    this.#crew = crew;
    this.#tiles = new Tiles($('samples'), onChoose);
    $('sample-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.run();
    });
    $('next-seed').addEventListener('click', () => {
      $('seed').value = (Number($('seed').value) || 0) + 1;
      this.run();
    });
    $('stop-sample').addEventListener('click', () => crew.stop('sample'));
    for (const id of ['seed', 'count', 'sample-class']) {
      $(id).addEventListener('change', () => this.run());
    }
    for (const input of document.querySelectorAll('input[name="tau"]')) {
      input.addEventListener('change', () => {
        this.#showTaus();
        this.run();
      });
    }
    for (const id of ['tau', 'low', 'high']) {
      $(id).addEventListener('input', () => {
        this.#limit(id);
        this.#showTaus();
        this.#command();
        clearTimeout(this.waiting);
        this.waiting = setTimeout(() => this.run(), 120);
      });
    }
    $('copy').addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText($('command').textContent);
        this.#say('The command is copied.');
      } catch {
        this.#say('This browser does not let the page copy: select the command.');
      }
    });
  }

  open(model) {
    this.#model = model;
    const first = model.classes.length ? [['turns', 'each in turn']] : [];
    fillClasses($('sample-class'), model, first);
    this.#showTaus();
    this.#command();
    $('do-sample').disabled = false;
  }

  /** Keeps the lower end of the interval below the upper one. */
  #limit(moved) {
    const [low, high] = ['low', 'high'].map((id) => Number($(id).value));
    if (low < high) return;
    if (moved === 'low') $('high').value = low + 0.01;
    else $('low').value = high - 0.01;
  }

  #showTaus() {
    const kind = chosen('tau');
    $('tau-constant').hidden = kind !== 'constant';
    $('tau-interval').hidden = kind !== 'interval';
    for (const id of ['tau', 'low', 'high']) $(`${id}-out`).value = Number($(id).value).toFixed(2);
  }

  #request() {
    const count = Number($('count').value);
    const kind = chosen('tau');
    const tau = { kind };
    for (const name of TAUS[kind] ?? []) tau[name] = Number($(name).value);
    return { count, seed: Number($('seed').value), tau, labels: this.#labels() };
  }

  #labels() {
    const value = $('sample-class').value;
    if (value === 'turns' || value === '') return [];
    return [value === 'none' ? null : Number(value)];
  }

  /** The classes of the pictures of a request. */
  #classes({ count, labels }) {
    const classes = this.#model.classes.length;
    return Array.from({ length: count }, (_, index) => {
      if (labels.length) return labels[0];
      return classes ? index % classes : null;
    });
  }

  #command() {
    const { count, seed, tau, labels } = this.#request();
    const parts = ['pixel-iqn sample', `--model ${this.#model.name}`, `--seed ${seed}`, `--count ${count}`];
    if (labels.length) parts.push(`--labels ${labels[0] === null ? 'none' : `'#${labels[0]}'`}`);
    if (tau.kind === 'constant') parts.push(`--tau ${tau.tau}`);
    if (tau.kind === 'interval') parts.push(`--tau-range ${tau.low},${tau.high}`);
    $('command').textContent = parts.join(' ');
  }

  async run() {
    const model = this.#model;
    if (!model) return;
    if (!$('seed').checkValidity()) {
      this.#say('A seed is a whole number from 0 to 9007199254740991.');
      return;
    }
    const request = this.#request();
    const labels = this.#classes(request);
    const [height, width] = model.size;
    const total = height * width;
    const names = labels.map((label, index) => {
      const of = label === null ? '' : `, ${model.classes[label]}`;
      return `sample ${index + 1}${of}`;
    });
    this.#command();
    $('samples').style.setProperty('--columns', Math.sqrt(request.count));
    this.#tiles.prepare(names, model.size);
    const run = ++this.#runs;
    $('stop-sample').disabled = false;
    this.#say('Drawing…');
    try {
      const result = await this.#crew.draw('sample', request, total, ({ rgba, done }) => {
        if (model !== this.#model || run !== this.#runs) return;
        this.#tiles.show(rgba);
        $('sample-progress').value = done / total;
      });
      if (model !== this.#model || run !== this.#runs) return;
      this.#tiles.finish({ ...result, labels, order: 0 });
      $('sample-progress').value = 1;
      const seconds = result.milliseconds / 1000;
      const rate = request.count / seconds;
      this.#say(`${request.count} images in ${seconds.toFixed(2)} seconds: ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} images a second.`);
    } catch (error) {
      if (run !== this.#runs) return;
      this.#say(error instanceof Stopped ? `Stopped after ${error.done} of ${total} pixels.` : error.message);
    } finally {
      if (run === this.#runs) disable($('stop-sample'), $('do-sample'));
    }
  }

  choose(index) {
    this.#tiles.choose(index);
  }

  #say(text) {
    $('sample-status').textContent = text;
  }
}
