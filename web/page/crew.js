/** Several workers that draw the samples of one request together. */

import { Engine } from './engine.js';

/** As many as a machine has processors for; more would take memory alone. */
const MOST = 4;

export class Crew {
  #ready;
  #others = [];
  #openings = 0;
  #onFailure;

  /** The crew begins with the engine of the other parts. */
  constructor(engine, onFailure) {
    this.#ready = [engine];
    this.#onFailure = onFailure;
  }

  /** Opens a model in the other workers, which begin with the first model. */
  async open(entry, form) {
    const count = Math.min(MOST, navigator.hardwareConcurrency || 1) - 1;
    while (this.#others.length < count) this.#others.push(new Engine(this.#onFailure));
    this.close();
    const opening = this.#openings;
    await Promise.all(this.#others.map((engine) => engine.open(entry, form)));
    if (opening === this.#openings) this.#ready = [this.#ready[0], ...this.#others];
  }

  /** Leaves the other workers out until they have the next model. */
  close() {
    this.#openings += 1;
    this.#ready.length = 1;
  }

  stop(slot) {
    for (const engine of this.#ready) engine.stop(slot);
  }

  /** Draws the images of a request, each worker some of them. */
  async draw(slot, request, pixels, onFrame) {
    // Also those that get no part of this request may work on one of before.
    this.stop(slot);
    const begun = performance.now();
    const share = Math.ceil(request.count / this.#ready.length);
    const parts = this.#ready
      .map((engine, index) => ({ engine, first: index * share, count: Math.min(share, request.count - index * share) }))
      .filter(({ count }) => count > 0);
    const rgba = new Uint8Array(request.count * pixels * 4);
    const done = parts.map(() => 0);
    const show = (index, first, part) => {
      rgba.set(part.rgba, first * pixels * 4);
      done[index] = part.done;
      onFrame({ rgba, done: Math.min(...done) });
    };
    const drawn = parts.map(async ({ engine, first, count }, index) => {
      const job = { kind: 'draw', request: { ...request, count, first: (request.first ?? 0) + first }, pace: 'once', pixels };
      const part = await engine.run(slot, job, (frame) => show(index, first, frame));
      show(index, first, part);
      return part;
    });
    const results = await Promise.all(drawn);
    const levels = new Uint8Array(results.flatMap((part) => Array.from(part.levels)));
    return { rgba, levels, milliseconds: performance.now() - begun };
  }
}
