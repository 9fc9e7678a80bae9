/**
 * The worker: it has the program and the model, and works on any number of jobs a few pixels at a time, so
 * that each can be shown while it is drawn, and stopped.
 */

import { weightsOf } from './store.js';

/** The time in milliseconds that a job works before messages are read, and between two pictures. */
const SLICE = 12;
const FRAME = 30;

/** Modules of one instruction, by which a browser says what it knows. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];

const knows = (module) => WebAssembly.validate(new Uint8Array(module));

let program;
let model;
let width = 1;
let opened = 0;
const stopped = new Set();
const running = new Set();

/** Loads the program in the best form that the browser knows, once. */
function load(wanted) {
  if (!knows(SIMD)) {
    throw new Error('This browser has no SIMD instructions in WebAssembly: Chrome 102, Firefox 114 and Safari 16.4 have them.');
  }
  const form = wanted ?? (knows(RELAXED) ? 'relaxed' : 'simd');
  program ??= import(`./program/${form}/pixel_iqn_web.js`)
    .then(async (module) => {
      await module.default();
      return { module, form };
    })
    .catch((error) => {
      // The next model may find a connection.
      program = undefined;
      throw new Error(`The program cannot be loaded: ${error.message}. Reload the page.`);
    });
  return program;
}

async function open({ id, entry, form }) {
  opened = id;
  const tell = (come) => postMessage({ id, type: 'frame', part: come / entry.weights.bytes });
  const [{ module, form: taken }, { bytes, from }] = await Promise.all([load(form), weightsOf(entry, tell)]);
  // Another model was chosen while this one came.
  if (opened !== id) return {};
  const [height, columns] = entry.size;
  // Where this fails the model before stays.
  const next = new module.Model(JSON.stringify(entry.config), height, columns, new Uint8Array(bytes));
  model?.free();
  model = next;
  width = columns;
  return { form: taken, from };
}

/** Lets messages in. */
const turn = (() => {
  const { port1, port2 } = new MessageChannel();
  const waiting = [];
  port1.onmessage = () => waiting.shift()();
  return () => new Promise((done) => (waiting.push(done), port2.postMessage(null)));
})();

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Begins a job; a completion without an order gets the one that suits its region. */
function begin({ kind, request, picture, missing, label, order }) {
  switch (kind) {
    case 'draw':
      return model.draw(JSON.stringify(request));
    case 'complete':
      request.order ??= model.orderFor(missing);
      return model.complete(JSON.stringify(request), picture, missing);
    case 'quantiles':
      return model.quantiles(picture, label, order);
    default:
      throw new Error(`There is no job ${kind}.`);
  }
}

/** How many missing pixels a job draws between two waits of some milliseconds, to be watched. */
function steps(pace, total) {
  switch (pace) {
    case 'pixels':
      return { pixels: 1, wait: Math.max(4, 10000 / total) };
    case 'rows':
      return { pixels: width, wait: Math.max(20, (2500 / total) * width) };
    default:
      return { pixels: Infinity, wait: 0 };
  }
}

/**
 * Draws for some milliseconds, or until so many missing pixels are drawn, and says how many they were. Pixels that are
 * given are only read, which nobody wants to watch.
 */
function advance(task, pixels, missing) {
  const begun = performance.now();
  let [drawn, more] = [0, true];
  while (more && drawn < pixels && performance.now() - begun < SLICE) {
    if (pixels === Infinity) {
      more = task.advance(8);
      continue;
    }
    const [row, column] = task.next;
    more = task.advance(1);
    if (!missing || missing[row * width + column]) drawn += 1;
  }
  return { drawn, more };
}

async function work(job) {
  const { id, kind, pace, missing, pixels: total } = job;
  const begun = performance.now();
  const task = begin(job);
  try {
    const shows = kind !== 'quantiles';
    const { pixels, wait } = steps(pace, total);
    const order = job.request?.order ?? job.order;
    if (shows) postMessage({ id, type: 'frame', order, done: 0, next: task.next, rgba: task.rgba() });
    let [shown, more, left] = [begun, true, pixels];
    while (more) {
      const step = advance(task, left, missing);
      more = step.more;
      left -= step.drawn;
      const now = performance.now();
      const rests = wait > 0 && left <= 0;
      if (rests) left = pixels;
      if (more && shows && (rests || now - shown > FRAME)) {
        shown = now;
        postMessage({ id, type: 'frame', done: task.done, next: task.next, rgba: task.rgba() });
      } else if (more && !shows) {
        postMessage({ id, type: 'frame', done: task.done });
      }
      await (rests && more ? pause(wait) : turn());
      if (stopped.delete(id)) {
        postMessage({ id, type: 'stopped', done: task.done });
        return;
      }
    }
    const milliseconds = performance.now() - begun;
    const result = shows
      ? { rgba: task.rgba(), levels: task.levels(), tau: task.tau() }
      : { levels: task.levels(), quantiles: task.quantiles() };
    postMessage({ id, type: 'done', done: task.done, order, milliseconds, ...result });
  } finally {
    task.free();
  }
}

onmessage = async ({ data }) => {
  if (data.type === 'stop') {
    if (running.has(data.id)) stopped.add(data.id);
    return;
  }
  running.add(data.id);
  try {
    if (data.type === 'open') {
      postMessage({ id: data.id, type: 'done', ...(await open(data)) });
    } else {
      await work(data);
    }
  } catch (error) {
    postMessage({ id: data.id, type: 'error', message: error.message ?? String(error) });
  } finally {
    running.delete(data.id);
    stopped.delete(data.id);
  }
};
