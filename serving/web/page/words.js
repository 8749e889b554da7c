// What the page says, in plain words.

import { LOCAL } from "./model.js";

/** Whether y shows the class after x's, the last before the first. */
function isNext(labelMap) {
  const entries = Object.entries(labelMap ?? {});
  return entries.length > 1 && entries.every(([x, y]) => y === (Number(x) + 1) % entries.length);
}

/** The page's heading, and what is shown for a drawing by the side that the drawing is of. */
export function names(labelMap) {
  return isNext(labelMap)
    ? { page: "Draw a digit, see the next one", x: "The next digit", y: "The digit before" }
    : { page: "Draw a digit, see its partner", x: "Its partner in y", y: "Its partner in x" };
}

const percent = (p) => (p > 0.995 ? "more than 99 %" : `${Math.round(100 * p)} %`);

/** Which latent did what, after something changed. */
export function told(cause, { side, probabilities, lockedZ, lockedLocal, count }) {
  const local = LOCAL[side === "x" ? "y" : "x"];
  const sure = percent(Math.max(...probabilities));
  const hands = lockedLocal
    ? `The hands, ${local}, stayed as they were.`
    : `${local} is drawn anew for each: ${count} hands.`;
  const read = lockedZ
    ? `z is locked, so your drawing no longer says what digit it is; ${local} still varies the hand.`
    : `Your drawing sets z: the model is ${sure} sure which digit that is. ${hands}`;
  return {
    input: read,
    side: read,
    again: lockedZ
      ? `The digit, z, stayed as it was. ${hands}`
      : `z is drawn anew, as likely as its bars say. ${hands}`,
    chosen: `You set z, and the digit changed. The hands, ${local}, stayed as they were.`,
    freed: `z follows your drawing again. The hands, ${local}, stayed as they were.`,
    turned: `You turned ${local}, and the hand changed. The digit, z, stayed as it was.`,
    hands: `Other hands: ${local} changed, z and with it the digit did not.`,
    one: lockedZ
      ? `One hand for all, and one digit: with z and ${local} the same, so is every sample.`
      : `One hand for all: ${local} is the same in every sample, and only z can differ.`,
    each: `A hand for each: ${local} differs from sample to sample again.`,
  }[cause];
}

/** How much a reading settles. */
export function settled(probabilities, nats) {
  const k = probabilities.length;
  const left = Math.exp(Math.log(k) - nats);
  const open = left < 1.05 ? "just one" : `about ${left.toFixed(1)}`;
  return (
    `Your drawing tells z ${nats.toFixed(2)} of at most ${Math.log(k).toFixed(2)} nats: ` +
    `of ${k} digits it leaves ${open}.`
  );
}

/** What a nat is, and what z holds over all pairs where the bundle says so. */
export function natsWords(k, nats) {
  const unit =
    `The unit of information here. Telling ${k} equally likely things apart takes ` +
    `${Math.log(k).toFixed(2)} nats, a coin’s toss 0.69.`;
  const held = Object.entries({
    i_xy_z: "of a pair",
    i_x_z: "of the first digit alone",
    i_y_z: "of its partner alone",
  }).flatMap(([key, what]) => {
    const value = nats?.[key];
    if (typeof value !== "number") return [];
    const apart = Number(Math.exp(value).toPrecision(2));
    return `${value.toFixed(2)} nats ${what}, enough to tell ${apart} things apart`;
  });
  return held.length ? `${unit} Over many digits, z holds ${held.join("; ")}.` : unit;
}

/** What the style-transfer grid shows. */
export const transferLead = (side, labelMap) =>
  `A row’s hand, ${LOCAL[side]}, comes from the digit at its left; a column’s z, which says what ` +
  "digit, from the one at its top. Your drawing is the first of both. Each picture shows " +
  (isNext(labelMap)
    ? `the digit ${side === "y" ? "after" : "before"} the column’s, in the row’s hand.`
    : "the partner of the column’s digit, in the row’s hand.");

/** The line at the end of the page. */
export function about(manifest) {
  const [height, width] = manifest.sides.x.shape;
  return (
    `Model “${manifest.name}”, images of ${height} × ${width} pixels, z one of ` +
    `${manifest.latents.z.size}, u and v of ${manifest.latents.u.size} and ` +
    `${manifest.latents.v.size} numbers. Exported ${manifest.created.slice(0, 10)}, run by ` +
    "onnxruntime-web."
  );
}
