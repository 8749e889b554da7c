// The local latent, u or v: a map of hands over two of its directions, and how samples are turned.

import { paint } from "./ink.js";
import { $, tile } from "./dom.js";

const STEPS = [-2, -1, 0, 1, 2];
const EDGE = 2;

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/**
 * Locals [n × size] turned to a place of the map.
 *
 * Along the map's directions a row moves from its own place (at the middle of the map) to the place
 * given (at the edges), so that no row leaves the region that the model was trained on; all other
 * directions stay.
 */
export function turn(locals, [first, second], place) {
  const size = first.length;
  const own = 1 - Math.max(...place.map(Math.abs)) / EDGE;
  const turned = locals.slice();
  for (let start = 0; start < locals.length; start += size) {
    const row = locals.subarray(start, start + size);
    [first, second].forEach((direction, i) => {
      const here = dot(row, direction);
      const shift = place[i] + own * here - here;
      for (let j = 0; j < size; j += 1) turned[start + j] += shift * direction[j];
    });
  }
  return turned;
}

/** Locals of the map's tiles, row by row. */
export function mapLocals([first, second]) {
  const rows = STEPS.flatMap((down) =>
    STEPS.map((across) => first.map((value, i) => across * value + down * second[i])),
  );
  return Float32Array.from(rows.flat());
}

export const MAP_TILES = STEPS.length ** 2;

/** The map and its sliders; `changed(place)` after each turn. */
export class Hands {
  constructor(changed) {
    this.place = [0, 0];
    this.changed = changed;
    this.map = $("#map");
    this.mark = this.map.querySelector("i");
    this.sliders = [$("#across"), $("#down")];
    this.tiles = Array.from({ length: MAP_TILES }, tile);
    this.map.prepend(...this.tiles);
    this.sliders.forEach((slider, i) => {
      slider.addEventListener("input", () => {
        const place = [...this.place];
        place[i] = Number(slider.value);
        this.#set(place);
      });
    });
    this.map.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.map.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    this.map.addEventListener("pointermove", (event) => {
      if (this.map.hasPointerCapture(event.pointerId)) this.#point(event);
    });
    $("#centre").addEventListener("click", () => this.#set([0, 0]));
    this.show();
  }

  #point(event) {
    const box = this.map.getBoundingClientRect();
    const share = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    // Tiles' middles are whole steps.
    const place = share.map((value) => (value - 0.5) * STEPS.length);
    this.#set(place.map((value) => Math.round(10 * Math.min(EDGE, Math.max(-EDGE, value))) / 10));
  }

  #set(place) {
    this.place = place;
    this.show();
    this.changed();
  }

  show() {
    this.sliders.forEach((slider, i) => {
      slider.value = this.place[i];
      slider.setAttribute("aria-valuetext", this.place[i].toFixed(1));
    });
    const [left, top] = this.place.map(
      (value) => `${(100 * (value / STEPS.length + 0.5)).toFixed(1)}%`,
    );
    this.mark.style.left = left;
    this.mark.style.top = top;
  }

  /** Show the hands of the map: images [25 × pixels]. */
  paint(images, shape) {
    const pixels = shape[0] * shape[1];
    this.tiles.forEach((canvas, i) => {
      paint(canvas, images.subarray(i * pixels, (i + 1) * pixels), shape, "--hand", 60);
    });
  }
}
