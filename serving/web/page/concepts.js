// z: its values as pairs of digits, with the bars of q(z|drawing) and the nats in it.

import { $, element, tile } from "./dom.js";
import { paint } from "./ink.js";
import { natsOf } from "./model.js";
import { natsWords, settled } from "./words.js";

/** Fill a meter of nats to its share of log k. */
function fill(meter, nats, k) {
  meter.setAttribute("aria-valuemax", Math.log(k).toFixed(2));
  meter.setAttribute("aria-valuenow", nats.toFixed(2));
  meter.firstElementChild.style.width = `${(100 * nats) / Math.log(k)}%`;
}

/** What z holds over all pairs, as far as the bundle says: `nats` of its manifest. */
export function showHeld(k, nats) {
  $("#nats-words").textContent = natsWords(k, nats);
  $("#nats-held").hidden = typeof nats?.i_xy_z !== "number";
  if (!$("#nats-held").hidden) fill($("#nats-held"), nats.i_xy_z, k);
}

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
    fill($("#nats"), nats, this.k);
    $("#nats-said").textContent = probabilities ? settled(probabilities, nats) : "";
  }
}
