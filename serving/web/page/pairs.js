// Joint samples: both digits of a pair from one z.

import { paint } from "./ink.js";
import { Noise } from "./noise.js";
import { $, coalesced, element, tile } from "./dom.js";

const COUNT = 12;

/** Twelve pairs, and twelve others at a press. */
export class Pairs {
  constructor(model) {
    Object.assign(this, { model, seed: 1, current: null });
    this.tiles = Array.from({ length: COUNT }, () => [tile(), tile()]);
    $("#pairs .pairs").append(
      ...this.tiles.map((pair) => element("div", { class: "pair" }, ...pair)),
    );
    this.refresh = coalesced(() => this.#refresh());
    $("#pairs-again").addEventListener("click", () => {
      this.seed += 1;
      this.refresh();
    });
  }

  async #refresh() {
    const { model } = this;
    const stream = new Noise(this.seed);
    const noise = {
      z: stream.uniform(COUNT * model.k),
      u: stream.normal(COUNT * model.latents.u.size),
      v: stream.normal(COUNT * model.latents.v.size),
    };
    const images = await model.pairs(noise.z, noise.u, noise.v);
    this.current = { noise, ...images };
    this.tiles.forEach((pair, i) => {
      ["x", "y"].forEach((side, j) => {
        const pixels = model.pixels(side);
        const image = images[side].subarray(i * pixels, (i + 1) * pixels);
        paint(pair[j], image, model.shapes[side]);
      });
    });
  }
}
