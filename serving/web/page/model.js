// The tasks of a W-model, composed of its parts. Noise is an argument everywhere, so one input and
// one noise give the images that the bundle's graphs give in every other engine.

export const OTHER = { x: "y", y: "x" };
export const LOCAL = { x: "u", y: "v" };

// The bounds of wyner_keras.latents, for uniform noise: noise of 0 or 1 would be infinite.
const SMALLEST = 2 ** -126;
const LARGEST = 1 - 2 ** -24;

/** One-hot samples (Gumbel-max) of probabilities [rows × k], or of one row of k for all. */
export function sampleZ(probabilities, noise, k) {
  const rows = noise.length / k;
  const z = new Float32Array(rows * k);
  for (let row = 0; row < rows; row += 1) {
    let best = 0;
    let highest = -Infinity;
    for (let j = 0; j < k; j += 1) {
      const uniform = Math.min(Math.max(noise[row * k + j], SMALLEST), LARGEST);
      const p = probabilities[probabilities.length > k ? row * k + j : j];
      const score = Math.log(p) - Math.log(-Math.log(uniform));
      if (score > highest) [best, highest] = [j, score];
    }
    z[row * k + best] = 1;
  }
  return z;
}

/** One-hot rows that all say the same. */
export function oneHot(rows, k, index) {
  return Float32Array.from({ length: rows * k }, (_, i) => (i % k === index ? 1 : 0));
}

/** KL(q ‖ uniform) in nats: how much of the possible log k a reading settles. */
export function natsOf(probabilities) {
  let nats = Math.log(probabilities.length);
  for (const p of probabilities) if (p > 0) nats += p * Math.log(p);
  return Math.max(0, nats);
}

/** Rows of a flat array, each `times` times in a row, or the whole array `times` times. */
function repeatRows(values, width, times) {
  const result = new values.constructor(values.length * times);
  for (let row = 0; row < values.length / width; row += 1) {
    const part = values.subarray(row * width, (row + 1) * width);
    for (let i = 0; i < times; i += 1) result.set(part, (row * times + i) * width);
  }
  return result;
}

function tile(values, times) {
  return repeatRows(values, values.length, times);
}

/**
 * A W-model.
 *
 * `manifest` is the bundle's; `run(graph, {input: {data, dims}})` gives a promise of
 * `{output: Float32Array}`.
 */
export class Model {
  constructor(manifest, run) {
    this.shapes = { x: manifest.sides.x.shape, y: manifest.sides.y.shape };
    this.latents = manifest.latents;
    this.k = manifest.latents.z.size;
    this.run = run;
  }

  /** Pixels of an image of a side. */
  pixels(side) {
    return this.shapes[side].reduce((a, b) => a * b);
  }

  #images(side, data) {
    return { data, dims: [data.length / this.pixels(side), ...this.shapes[side]] };
  }

  #latent(name, data) {
    const { size } = this.latents[name];
    return { data, dims: [data.length / size, size] };
  }

  /** q(z|x) or q(z|y) of images [n × pixels]: probabilities [n × k]. */
  async posterior(side, images) {
    const feeds = { [side]: this.#images(side, images) };
    return (await this.run(`posterior_${side}_z`, feeds)).probabilities;
  }

  /** Images x_θ(u, z) or y_θ(v, z), [n × pixels]. */
  async decode(side, z, local) {
    const name = LOCAL[side];
    const feeds = { z: this.#latent("z", z), [name]: this.#latent(name, local) };
    return (await this.run(`decode_${side}`, feeds))[side];
  }

  /** Pairs from the priors: images of x and of y. */
  async pairs(noiseZ, u, v) {
    const uniform = new Float32Array(this.k).fill(1 / this.k);
    const z = sampleZ(uniform, noiseZ, this.k);
    return { z, x: await this.decode("x", z, u), y: await this.decode("y", z, v) };
  }

  /**
   * Every style with every concept: images of `side`, [styles × concepts × pixels].
   *
   * `styles` are images of `side`, `concepts` of the other one; `noise` holds `style` and `concept`
   * (uniform, for z) and `local` (normal, for the styles' u or v).
   */
  async transfer(side, styles, concepts, noise) {
    const name = LOCAL[side];
    const z = sampleZ(await this.posterior(OTHER[side], concepts), noise.concept, this.k);
    const styleZ = sampleZ(await this.posterior(side, styles), noise.style, this.k);
    const encoded = await this.run(`encode_${side}_${name}`, {
      [side]: this.#images(side, styles),
      z: this.#latent("z", styleZ),
      [`noise_${name}`]: this.#latent(name, noise.local),
    });
    const rows = styles.length / this.pixels(side);
    const columns = z.length / this.k;
    const local = repeatRows(encoded[name], this.latents[name].size, columns);
    return this.decode(side, tile(z, rows), local);
  }
}
