/** The generation orders of the library, by their index. */

/** Where the rows of each order begin. */
export const ORDERS = [
  'rows from the top',
  'rows from the top, right to left',
  'rows from the bottom',
  'rows from the bottom, right to left',
  'columns from the left',
  'columns from the left, upwards',
  'columns from the right',
  'columns from the right, upwards',
];

/** How many pixels of an image come before one of it in an order. */
export function rank(order, [row, column], [height, width]) {
  const transposed = order & 4;
  const [lines, length] = transposed ? [width, height] : [height, width];
  let [line, place] = transposed ? [column, row] : [row, column];
  if (order & 2) line = lines - 1 - line;
  if (order & 1) place = length - 1 - place;
  return line * length + place;
}
