// z: its values as pairs of digits, with the bars of q(z|drawing) and the nats in it.

import { $, element, tile } from "./dom.js";
import { paint } from "./ink.js";
import { natsOf } from "./model.js";
import { settled } from "./words.js";

/** A button for each value of z, in `order`; `chosen(value)` when one is pressed. */
export class Concepts {
  constructor(model, order, typical, chosen) {
    this.k = model.k;
    this.values = order.map((value, place) => {
      const [x, y, bar] = [tile(), tile(), element("i")];
      const pictures = element("span", {}, x, y);
      const button = element(
        "button",
        { type: "button" },
        pictures,
        element("span", { class: "bar" }, bar),
      );
      button.addEventListener("click", () => chosen(value));
      const image = (side) =>
        typical[side].subarray(value * model.pixels(side), (value + 1) * model.pixels(side));
      paint(x, image("x"), model.shapes.x, "--ink", 60);
      paint(y, image("y"), model.shapes.y, "--made", 60);
      return { value, name: `concept ${place + 1}`, button, bar };
    });
    $("#concepts").append(...this.values.map(({ button }) => button));
    $("#nats").setAttribute("aria-valuemax", Math.log(this.k).toFixed(2));
  }

  /** Show which value z is locked to; null for none. */
  press(locked) {
    for (const { value, button } of this.values) button.ariaPressed = value === locked;
  }

  /** Show q(z|drawing); null for no drawing. */
  show(probabilities) {
    for (const { value, name, button, bar } of this.values) {
      const share = probabilities && Math.round(100 * probabilities[value]);
      bar.style.width = `${share ?? 0}%`;
      button.ariaLabel = probabilities ? `${name}, ${share} %` : name;
    }
    const nats = probabilities ? natsOf(probabilities) : 0;
    $("#nats i").style.width = `${(100 * nats) / Math.log(this.k)}%`;
    $("#nats").setAttribute("aria-valuenow", nats.toFixed(2));
    $("#nats-said").textContent = probabilities ? settled(probabilities, nats) : "";
  }
}
