/** The page's end of the worker. */

/** What a job ends with that another job of its slot, or the person, stopped. */
export class Stopped extends Error {
  constructor(done) {
    super('stopped');
    this.done = done;
  }
}

/**
 * Begins a worker. A script of a server would have the policy that the server sends with it, which on many is none;
 * one that the page makes has the policy of the page.
 */
function begin() {
  const text = `import ${JSON.stringify(new URL('worker.js', import.meta.url))};`;
  const script = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  return new Worker(script, { type: 'module' });
}

export class Engine {
  #worker = begin();
  #jobs = new Map();
  #slots = new Map();
  #next = 1;
  /** Why the worker has stopped. */
  #failure;

  constructor(onFailure) {
    this.#worker.onmessage = ({ data }) => this.#answer(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const message = `The program stopped: ${event.message || 'it could not be loaded'}. Reload the page.`;
      // Also for what is asked of it later: a script that is missing can be known before the list of models is there.
      this.#failure = message;
      for (const { reject } of this.#jobs.values()) reject(new Error(message));
      this.#jobs.clear();
      onFailure(message);
    };
  }

  /** Opens a model; a form of the program other than the best is for comparison. */
  open(entry, form, onFrame = () => {}) {
    return this.#send({ type: 'open', entry, form }, onFrame);
  }

  /** Begins a job in the place of the one that has its slot, and resolves with its result. */
  run(slot, job, onFrame = () => {}) {
    this.stop(slot);
    const promise = this.#send({ type: 'job', ...job }, onFrame);
    const id = this.#next - 1;
    this.#slots.set(slot, id);
    return promise.finally(() => {
      if (this.#slots.get(slot) === id) this.#slots.delete(slot);
    });
  }

  /** Stops the job of a slot, if there is one. */
  stop(slot) {
    const id = this.#slots.get(slot);
    if (id !== undefined) this.#worker.postMessage({ type: 'stop', id });
  }

  #send(message, onFrame) {
    if (this.#failure) return Promise.reject(new Error(this.#failure));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#jobs.set(id, { resolve, reject, onFrame });
      this.#worker.postMessage({ id, ...message });
    });
  }

  #answer({ id, type, ...data }) {
    const job = this.#jobs.get(id);
    if (!job) return;
    if (type === 'frame') {
      job.onFrame(data);
      return;
    }
    this.#jobs.delete(id);
    if (type === 'done') job.resolve(data);
    else if (type === 'stopped') job.reject(new Stopped(data.done));
    else job.reject(new Error(data.message));
  }
}
