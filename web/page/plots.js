/** The two drawings of a distribution. */

import { shape } from './dom.js';

const LEFT = 40;
const RIGHT = 470;

/** The quantile at `tau`, read off the straight lines between the levels. */
export function quantile(levels, values, tau) {
  const last = levels.length - 1;
  let k = levels.findIndex((level) => level > tau);
  k = Math.min(last, Math.max(1, k < 0 ? last : k));
  const part = (tau - levels[k - 1]) / (levels[k] - levels[k - 1]);
  return values[k - 1] + Math.min(1, Math.max(0, part)) * (values[k] - values[k - 1]);
}

/** The probability of values up to `x`. */
export function probability(levels, values, x) {
  if (x < values[0]) return 0;
  const k = values.findIndex((value) => value > x);
  if (k < 0) return 1;
  if (k === 0) return 0;
  return levels[k - 1] + ((x - values[k - 1]) / (values[k] - values[k - 1])) * (levels[k] - levels[k - 1]);
}

const line = (points) => points.map(([x, y], index) => `${index ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

function axes(svg, [top, bottom], xs, ys, x, y) {
  for (const [value, text] of ys) {
    svg.append(shape('line', { class: 'grid', x1: LEFT, x2: RIGHT, y1: y(value), y2: y(value) }));
    svg.append(shape('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, text));
  }
  for (const [value, text] of xs) {
    svg.append(shape('text', { x: x(value), y: bottom + 18, 'text-anchor': 'middle' }, text));
  }
  svg.append(shape('line', { class: 'axis', x1: LEFT, x2: RIGHT, y1: bottom, y2: bottom }));
  svg.append(shape('line', { class: 'axis', x1: LEFT, x2: LEFT, y1: top, y2: bottom }));
}

/** Draws a quantile function with the value of the picture, in [0, 1]. */
export function drawQuantiles(svg, levels, values, drawn) {
  const [top, bottom] = [10, 212];
  const x = (tau) => LEFT + tau * (RIGHT - LEFT);
  const y = (value) => bottom - Math.min(1, Math.max(0, value)) * (bottom - top);
  svg.replaceChildren();
  svg.append(shape('rect', { class: 'half', x: x(0.25), y: top, width: x(0.75) - x(0.25), height: bottom - top }));
  axes(svg, [top, bottom], [[0, '0'], [0.25, '¼'], [0.5, '½'], [0.75, '¾'], [1, '1']], [[0, '0'], [0.5, '128'], [1, '255']], x, y);
  const points = Array.from(levels, (level, k) => [x(level), y(values[k])]);
  const [first, last] = [points[0], points[points.length - 1]];
  svg.append(shape('path', { class: 'curve', d: line([[x(0), first[1]], ...points, [x(1), last[1]]]) }));
  const tau = probability(levels, values, drawn);
  svg.append(shape('path', { class: 'value', d: `M${LEFT} ${y(drawn)}H${x(tau)}V${bottom}` }));
  svg.append(shape('circle', { class: 'drawn', cx: x(tau), cy: y(drawn), r: 6 }));
}

/** Draws a density: the mean over each of 64 equal bins of values. */
export function drawDensity(svg, levels, values, drawn) {
  const [top, bottom] = [10, 142];
  const bins = 64;
  const ends = Array.from({ length: bins + 1 }, (_, bin) => probability(levels, values, bin / bins));
  // What lies beyond an end of the range is at that end.
  ends[0] = 0;
  ends[bins] = 1;
  const density = Array.from({ length: bins }, (_, bin) => (ends[bin + 1] - ends[bin]) * bins);
  const highest = Math.max(...density);
  const x = (value) => LEFT + value * (RIGHT - LEFT);
  const y = (height) => bottom - (height / highest) * (bottom - top);
  svg.replaceChildren();
  const [low, high] = [0.25, 0.75].map((tau) => Math.min(1, Math.max(0, quantile(levels, values, tau))));
  svg.append(shape('rect', { class: 'half', x: x(low), y: top, width: Math.max(1, x(high) - x(low)), height: bottom - top }));
  axes(svg, [top, bottom], [[0, '0'], [0.25, '64'], [0.5, '128'], [0.75, '191'], [1, '255']], [], x, y);
  const points = [[x(0), bottom]];
  density.forEach((height, bin) => points.push([x(bin / bins), y(height)], [x((bin + 1) / bins), y(height)]));
  points.push([x(1), bottom]);
  svg.append(shape('path', { class: 'area', d: `${line(points)}Z` }));
  svg.append(shape('path', { class: 'value', d: `M${x(drawn)} ${top}V${bottom}` }));
  svg.append(shape('circle', { class: 'drawn', cx: x(drawn), cy: bottom, r: 6 }));
}
