// From strokes to the image that a model reads, and from images to the screen.

/** Points of a smooth curve through a stroke: quadratic arcs between the midpoints of its sides. */
export function smooth(points, steps = 4) {
  if (points.length < 3) return points;
  const curve = [points[0]];
  const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  let from = points[0];
  for (let i = 1; i < points.length - 1; i += 1) {
    const to = i === points.length - 2 ? points[i + 1] : middle(points[i], points[i + 1]);
    for (let step = 1; step <= steps; step += 1) {
      const t = step / steps;
      curve.push(
        [0, 1].map((axis) => {
          const [a, b, c] = [from[axis], points[i][axis], to[axis]];
          return (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t ** 2 * c;
        }),
      );
    }
    from = to;
  }
  return curve;
}

/** Ink of curves drawn with a round pen, [height × width] in [0, 1]; all in shares of the frame. */
function rasterise(curves, pen, height, width) {
  const fine = Math.max(4, Math.ceil(96 / Math.max(height, width)));
  const [rows, columns] = [height * fine, width * fine];
  const mask = new Uint8Array(rows * columns);
  // In fine pixels; the frame's sides count 1 each.
  const radius = (pen / 2) * Math.max(rows, columns);
  const segment = ([x0, y0], [x1, y1]) => {
    const [ax, ay, dx, dy] = [x0 * columns, y0 * rows, (x1 - x0) * columns, (y1 - y0) * rows];
    const length = dx * dx + dy * dy;
    const top = Math.max(0, Math.floor(Math.min(ay, ay + dy) - radius));
    const bottom = Math.min(rows - 1, Math.ceil(Math.max(ay, ay + dy) + radius));
    const left = Math.max(0, Math.floor(Math.min(ax, ax + dx) - radius));
    const right = Math.min(columns - 1, Math.ceil(Math.max(ax, ax + dx) + radius));
    for (let i = top; i <= bottom; i += 1) {
      for (let j = left; j <= right; j += 1) {
        const [px, py] = [j + 0.5 - ax, i + 0.5 - ay];
        const t = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
        if ((px - t * dx) ** 2 + (py - t * dy) ** 2 <= radius * radius) mask[i * columns + j] = 1;
      }
    }
  };
  for (const curve of curves) {
    for (let i = 0; i < curve.length; i += 1) segment(curve[Math.max(0, i - 1)], curve[i]);
  }
  const image = new Float32Array(height * width);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < columns; j += 1) {
      const pixel = Math.floor(i / fine) * width + Math.floor(j / fine);
      image[pixel] += mask[i * columns + j] / fine ** 2;
    }
  }
  return image;
}

function centreOfMass(image, height, width) {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, i) => {
    mass += ink;
    x += (ink * ((i % width) + 0.5)) / width;
    y += (ink * (Math.floor(i / width) + 0.5)) / height;
  });
  return [x / mass, y / mass];
}

// A dot is not blown up to a digit's size.
const LARGEST_SCALE = 4;

/**
 * The image of strokes: size and centre of mass as in the digits that the model knows.
 *
 * `strokes` are lists of points [across, down] in shares of the drawing area; `ink` says how digits
 * lie in their frame (`page.json`); the image is [h × w] in [0, 1], null for no strokes.
 */
export function imageOf(strokes, ink, [height, width]) {
  const curves = strokes.filter((points) => points.length).map((points) => smooth(points));
  if (!curves.length) return null;
  const points = curves.flat();
  const [low, high] = [Math.min, Math.max].map((end) =>
    [0, 1].map((axis) => points.reduce((best, point) => end(best, point[axis]), points[0][axis])),
  );
  const size = Math.max(high[0] - low[0], high[1] - low[1]);
  const scale = Math.min(LARGEST_SCALE, (ink.extent - ink.pen) / size);
  const place = (centre) =>
    curves.map((curve) =>
      curve.map((point) =>
        [0, 1].map((axis) => centre[axis] + scale * (point[axis] - (low[axis] + high[axis]) / 2)),
      ),
    );
  const first = rasterise(place([0.5, 0.5]), ink.pen, height, width);
  const found = centreOfMass(first, height, width);
  const centre = [0, 1].map((axis) => {
    const half = (scale * (high[axis] - low[axis]) + ink.pen) / 2;
    const wanted = 0.5 + ink.centre[1 - axis] - found[axis];
    // All of it stays in the frame.
    return Math.min(Math.max(wanted, Math.min(half, 0.5)), Math.max(1 - half, 0.5));
  });
  return rasterise(place(centre), ink.pen, height, width);
}

/** Images from base64 bytes, [n × pixels] in [0, 1]. */
export function decodeImages(texts) {
  const bytes = texts.flatMap((text) => Array.from(atob(text), (char) => char.charCodeAt(0)));
  return Float32Array.from(bytes, (byte) => byte / 255);
}

/**
 * An image [height × width] enlarged `times`, with a margin of one pixel, by cubic interpolation
 * (Keys, 1981); a soft step then makes ink of grey, so that a stroke of few pixels has an edge.
 * Once is the image itself.
 */
function enlarge(image, [height, width], times) {
  const at = (values, size, stride, start, place) => {
    const base = Math.floor(place);
    const t = place - base;
    const weights = [
      ((2 - t) * t - 1) * t,
      (3 * t - 5) * t * t + 2,
      ((4 - 3 * t) * t + 1) * t,
      (t - 1) * t * t,
    ];
    let sum = 0;
    for (let i = 0; i < 4; i += 1) {
      const index = base - 1 + i;
      if (index >= 0 && index < size) sum += (weights[i] / 2) * values[start + index * stride];
    }
    return sum;
  };
  const [rows, columns] = [(height + 2) * times, (width + 2) * times];
  const place = (i) => (i + 0.5) / times - 1.5;
  const across = new Float32Array(height * columns);
  for (let i = 0; i < height; i += 1) {
    for (let j = 0; j < columns; j += 1) {
      across[i * columns + j] = at(image, width, 1, i * width, place(j));
    }
  }
  const ink = new Uint8ClampedArray(rows * columns);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < columns; j += 1) {
      const grey = at(across, height, columns, j, place(i));
      const t = Math.min(1, Math.max(0, (grey - 0.1) / 0.8));
      ink[i * columns + j] = 255 * (times > 1 ? t * t * (3 - 2 * t) : grey);
    }
  }
  return { ink, rows, columns };
}

const painted = new Map();

/** Show an image [h × w] on a canvas, in the colour of a CSS variable, about `size` pixels wide. */
export function paint(canvas, image, shape, colour = "--made", size = 120) {
  painted.set(canvas, [image, shape, colour, size]);
  const style = getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
  const [red, green, blue] = style.match(/\w\w/g).map((pair) => parseInt(pair, 16));
  const times = Math.max(1, Math.round(size / (Math.max(shape[0], shape[1]) + 2)));
  const { ink, rows, columns } = enlarge(image, shape, times);
  const pixels = new ImageData(columns, rows);
  const words = new Uint32Array(pixels.data.buffer);
  // Little-endian, as WebAssembly is: alpha is the highest byte.
  const rgb = red | (green << 8) | (blue << 16);
  ink.forEach((alpha, i) => {
    words[i] = rgb | (alpha << 24);
  });
  [canvas.width, canvas.height] = [columns, rows];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// Colours are in the pixels: another colour scheme paints them again.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [canvas, given] of painted) {
    if (canvas.isConnected) paint(canvas, ...given);
    else painted.delete(canvas);
  }
});
