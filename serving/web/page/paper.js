// The drawing area: strokes by mouse, pen or finger.

import { smooth } from "./ink.js";

/** Strokes, points [across, down] in shares of the area; calls `changed` after each change. */
export class Paper {
  constructor(canvas, pen, changed) {
    this.canvas = canvas;
    this.pen = pen;
    this.changed = changed;
    this.strokes = [];
    this.pointer = null;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => {
        if (event.pointerId === this.pointer) this.pointer = null;
      });
    }
    new ResizeObserver(() => this.show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #down(event) {
    if (this.pointer !== null || event.button !== 0) return;
    event.preventDefault();
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push([this.#point(event)]);
    this.#update();
  }

  #move(event) {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length ? events : [event]) {
      this.strokes.at(-1).push(this.#point(part));
    }
    this.#update();
  }

  #update() {
    this.show();
    this.changed();
  }

  undo() {
    this.strokes.pop();
    this.#update();
  }

  clear() {
    this.forget();
    this.changed();
  }

  /** Clear without telling. */
  forget() {
    this.strokes = [];
    this.show();
  }

  /** Another pen, for a model that knows thinner or thicker strokes. */
  setPen(pen) {
    this.pen = pen;
    this.show();
  }

  show() {
    const { canvas } = this;
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    [canvas.width, canvas.height] = [size, size];
    const context = canvas.getContext("2d");
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = this.pen * size;
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const points of this.strokes) {
      context.beginPath();
      for (const [x, y] of smooth(points)) context.lineTo(x * size, y * size);
      if (points.length === 1) context.lineTo(points[0][0] * size, points[0][1] * size);
      context.stroke();
    }
  }
}
