// Style transfer: hands down, digits across.

import { paint } from "./ink.js";
import { Noise } from "./noise.js";
import { LOCAL, OTHER } from "./model.js";
import { $, coalesced, element, tile } from "./dom.js";
import { transferLead } from "./words.js";

const STYLES = 4;

/** The grid for the drawing and the samples; `given()` tells the drawing and its side. */
export class Transfer {
  constructor(model, samples, labelMap, given) {
    Object.assign(this, { model, samples, labelMap, given, seed: 1, current: null });
    this.refresh = coalesced(() => this.#refresh());
    $("#transfer-again").addEventListener("click", () => {
      this.seed += 1;
      this.refresh();
    });
  }

  /** Images of the styles and of the concepts: the drawing, where there is one, then samples. */
  #chosen(side, image) {
    const pixels = this.model.pixels(side);
    const own = image ? [...image] : [];
    const concepts = [...own, ...this.samples[OTHER[side]]];
    // Other digits of the set than the first ones, so that hands are of many digits.
    const found = this.samples[side];
    const count = found.length / pixels;
    const picked = Array.from({ length: Math.min(STYLES, count) }, (_, i) => {
      const at = (this.seed + i * Math.max(1, Math.floor(count / STYLES))) % count;
      return [...found.subarray(at * pixels, (at + 1) * pixels)];
    });
    return {
      styles: Float32Array.from([...own, ...picked.flat()]),
      concepts: Float32Array.from(concepts),
      own: own.length > 0,
    };
  }

  async #refresh() {
    const { side: drawn, image } = this.given();
    const side = OTHER[drawn];
    const { styles, concepts, own } = this.#chosen(side, image);
    const [rows, columns] = [
      styles.length / this.model.pixels(side),
      concepts.length / this.model.pixels(drawn),
    ];
    const stream = new Noise(this.seed);
    const noise = {
      concept: stream.uniform(columns * this.model.k),
      style: stream.uniform(rows * this.model.k),
      local: stream.normal(rows * this.model.latents[LOCAL[side]].size),
    };
    const images = await this.model.transfer(side, styles, concepts, noise);
    this.current = { side, styles, concepts, noise, images };
    this.#show(side, styles, concepts, images, own);
  }

  #show(side, styles, concepts, images, own) {
    const shape = this.model.shapes[side];
    const pixels = this.model.pixels(side);
    const part = (values, i) => values.subarray(i * pixels, (i + 1) * pixels);
    const [rows, columns] = [styles.length / pixels, concepts.length / pixels];
    const [head, body] = [$("#transfer thead"), $("#transfer tbody")];
    if (body.rows.length !== rows || body.rows[0].cells.length !== columns + 1) {
      const cell = (name, label) =>
        element(name, {}, Object.assign(tile(), { role: "img", ariaLabel: label }));
      const name = (i, what) => (own && i === 0 ? `your ${what}` : `${what} ${own ? i : i + 1}`);
      head.replaceChildren(
        element(
          "tr",
          {},
          element("td"),
          ...Array.from({ length: columns }, (_, j) => cell("th", name(j, "digit"))),
        ),
      );
      body.replaceChildren(
        ...Array.from({ length: rows }, (_, i) =>
          element(
            "tr",
            {},
            cell("th", name(i, "hand")),
            ...Array.from({ length: columns }, (_, j) =>
              cell("td", `partner of ${name(j, "digit")} in ${name(i, "hand")}`),
            ),
          ),
        ),
      );
    }
    const canvases = (row) => [...row.querySelectorAll("canvas")];
    canvases(head.rows[0]).forEach((canvas, j) => paint(canvas, part(concepts, j), shape, "--ink"));
    [...body.rows].forEach((row, i) => {
      const [first, ...rest] = canvases(row);
      paint(first, part(styles, i), shape, "--ink");
      rest.forEach((canvas, j) => paint(canvas, part(images, i * columns + j), shape));
    });
    $("#transfer-lead").textContent = transferLead(side, this.labelMap);
  }
}
