/** Short names for what every part of the page does with its elements. */

export const $ = (id) => document.getElementById(id);

/** Creates an element with properties, and attributes where a name has a hyphen. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Creates an element of a drawing. */
export function shape(tag, attributes = {}, text = '') {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

/** The value of the chosen radio button of a name. */
export const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

/**
 * Shows levels, `[channels, height, width]`, on a canvas. Where `missing` is not 0, nothing is shown, or as much as
 * `opacity` says.
 */
export function showLevels(canvas, levels, { channels, size: [height, width] }, missing, opacity = 0) {
  const rgba = new Uint8ClampedArray(height * width * 4);
  const plane = height * width;
  for (let pixel = 0; pixel < plane; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = channels < 3 ? 0 : channel;
      rgba[pixel * 4 + channel] = levels[from * plane + pixel];
    }
    rgba[pixel * 4 + 3] = missing?.[pixel] ? opacity : 255;
  }
  showRgba(canvas, rgba, [height, width]);
}

/** Shows pixels on a canvas of their size. */
export function showRgba(canvas, rgba, [height, width]) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  canvas.getContext('2d').putImageData(new ImageData(rgba, width, height), 0, 0);
}

/** Puts a frame around a pixel of a picture, or takes it away. */
export function showPen(pen, place, [height, width]) {
  pen.hidden = !place;
  if (!place) return;
  const [row, column] = place;
  pen.style.left = `${(100 * column) / width}%`;
  pen.style.top = `${(100 * row) / height}%`;
  pen.style.width = `${100 / width}%`;
  pen.style.height = `${100 / height}%`;
}

/** The row and column of a picture under a pointer. */
export function placeOf(event, canvas, [height, width]) {
  const box = canvas.getBoundingClientRect();
  const inside = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
  return [
    inside((event.clientY - box.top) / box.height, height),
    inside((event.clientX - box.left) / box.width, width),
  ];
}

/** Disables a button; the focus, if it has it, goes to another, since the browser would drop it. */
export function disable(button, other) {
  if (document.activeElement === button) other.focus();
  button.disabled = true;
}

/** Fills a choice of classes. */
export function fillClasses(select, model, first) {
  const options = [...first];
  model.classes.forEach((name, index) => options.push([String(index), name]));
  if (model.unlabelled) options.push(['none', 'no class']);
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  select.disabled = model.classes.length === 0;
  if (select.disabled) select.replaceChildren(new Option('none', ''));
}
