// The page: what the controls mean, and what is shown after each change.

import { load, run } from "./engine.js";
import { $, coalesced, element, tile, whenNear } from "./dom.js";
import { Hands, MAP_TILES, mapLocals, turn } from "./hands.js";
import { decodeImages, imageOf, paint } from "./ink.js";
import { LOCAL, Model, OTHER, natsOf, oneHot, sampleZ } from "./model.js";
import { Noise } from "./noise.js";
import { Pairs } from "./pairs.js";
import { Paper } from "./paper.js";
import { Transfer } from "./transfer.js";
import { about, names, natsWords, settled, told } from "./words.js";

// What the first picture needs starts before anything else.
const first = [load("posterior_x_z"), load("decode_y")];

const COUNT = 12;
const [manifest, page] = await Promise.all(
  ["bundle/manifest.json", "page.json"].map(async (file) => (await fetch(file)).json()),
);
export const model = new Model(manifest, run);
const samples = { x: decodeImages(page.samples.x), y: decodeImages(page.samples.y) };
const typical = { x: decodeImages(page.typical.x), y: decodeImages(page.typical.y) };
const title = names(manifest.pairing.label_map);

const state = {
  side: "x", // what the drawing is taken for
  image: null,
  sample: null,
  z: null, // the value that z is locked to; null where the drawing decides
  seedZ: 1,
  seedV: 1,
  lockV: false,
  oneHand: false,
  cause: "input",
};
let current = null;

const grid = Array.from({ length: COUNT }, tile);
$("#grid").append(...grid);

const pixelsOf = (images, index, side) =>
  images.subarray(index * model.pixels(side), (index + 1) * model.pixels(side));

/** The locals of the samples, as drawn from the prior and turned. */
function locals() {
  const name = LOCAL[OTHER[state.side]];
  const { size } = model.latents[name];
  let noise = new Noise(state.seedV).normal(COUNT * size);
  if (state.oneHand) noise = Float32Array.from(noise, (_, i) => noise[i % size]);
  return turn(noise, page.directions[name], hands.place);
}

async function generate() {
  const { side, image, z: locked, cause } = state;
  const other = OTHER[side];
  if (!image) {
    showNothing();
    return;
  }
  const probabilities = await model.posterior(side, image);
  const noiseZ = new Noise(state.seedZ).uniform(COUNT * model.k);
  const z = locked === null ? sampleZ(probabilities, noiseZ, model.k) : oneHot(COUNT, model.k, locked);
  const local = locals();
  const images = await model.decode(other, z, local);
  grid.forEach((canvas, i) => paint(canvas, pixelsOf(images, i, other), model.shapes[other]));
  current = { side, image, probabilities, noiseZ, z, local, images };
  showReading(probabilities);
  $("#said").textContent = told(cause, { side, probabilities, locked: locked !== null, count: COUNT });
  if (document.documentElement.dataset.ready !== "yes") firstShown();
  await showMap(other, locked ?? probabilities.indexOf(Math.max(...probabilities)));
}

const refresh = coalesced(generate);

function change(cause, values = {}) {
  Object.assign(state, values, { cause });
  showControls();
  return refresh();
}

let mapped = "";

/** The map of hands, for the digit that is shown. */
async function showMap(side, index) {
  const key = `${side} ${index}`;
  if (key === mapped) return;
  mapped = key;
  const local = mapLocals(page.directions[LOCAL[side]]);
  const images = await model.decode(side, oneHot(MAP_TILES, model.k, index), local);
  if (key === mapped) hands.paint(images, model.shapes[side]);
}

function showNothing() {
  current = null;
  for (const canvas of grid) canvas.width = canvas.width;
  concepts.forEach(({ button, bar }) => {
    bar.style.width = "0";
    button.ariaLabel = `concept ${button.dataset.place}`;
  });
  $("#nats i").style.width = "0";
  $("#nats").setAttribute("aria-valuenow", "0");
  $("#nats-said").textContent = "";
  $("#said").textContent = "Draw a digit, or take a sample.";
}

function showReading(probabilities) {
  const nats = natsOf(probabilities);
  const most = Math.log(model.k);
  $("#nats i").style.width = `${(100 * nats) / most}%`;
  $("#nats").setAttribute("aria-valuenow", nats.toFixed(2));
  $("#nats-said").textContent = settled(probabilities, nats);
  for (const { index, button, bar } of concepts) {
    const share = Math.round(100 * probabilities[index]);
    bar.style.width = `${share}%`;
    button.ariaLabel = `concept ${button.dataset.place}, ${share} %`;
  }
}

function showControls() {
  const local = LOCAL[OTHER[state.side]];
  $("#title").textContent = title[state.side];
  $("#local-name").textContent = local;
  $("#lock-v").textContent = `Lock ${local}`;
  $("#lock-z").ariaPressed = state.z !== null;
  $("#lock-v").ariaPressed = state.lockV;
  $("#one").ariaPressed = state.oneHand;
  $("#hands").disabled = state.lockV;
  $("#again").disabled = state.lockV && state.z !== null;
  for (const { index, button } of concepts) button.ariaPressed = index === state.z;
  sampleButtons.forEach((button, i) => {
    button.ariaPressed = i === state.sample;
  });
  $("#hint").hidden = state.image !== null;
  $("#undo").disabled = !paper.strokes.length;
  $("#clear").disabled = !state.image;
  const given = $("#given");
  given.hidden = state.sample === null;
  if (state.sample !== null) paint(given, state.image, model.shapes[state.side], "--ink", 480);
  if (state.image) paint($("#seen"), state.image, model.shapes[state.side], "--ink", 1);
  else $("#seen").width = $("#seen").width;
}

// The drawing and the samples to take instead.

const paper = new Paper($("#paper"), page.ink.x.pen, () => {
  const image = imageOf(paper.strokes, page.ink[state.side], model.shapes[state.side]);
  change("input", { image, sample: null }).then(others);
});
$("#undo").addEventListener("click", () => paper.undo());
$("#clear").addEventListener("click", () => paper.clear());

function takeSample(sample) {
  paper.strokes = [];
  paper.show();
  const image = pixelsOf(samples[state.side], sample, state.side);
  return change("input", { sample, image }).then(others);
}

const sampleButtons = page.samples.x.map((_, i) => {
  const canvas = tile();
  const button = element("button", { type: "button", "aria-label": `sample ${i + 1}` }, canvas);
  button.addEventListener("click", () => takeSample(i));
  return button;
});
$("#samples").append(...sampleButtons);

function showSamples() {
  sampleButtons.forEach((button, i) => {
    const image = pixelsOf(samples[state.side], i, state.side);
    paint(button.firstChild, image, model.shapes[state.side], "--ink", 90);
  });
}

// z: its values as pairs of digits, with the bars of q(z|drawing).

const concepts = page.concepts.map((index, place) => {
  const [x, y, bar] = [tile(), tile(), element("i")];
  const button = element(
    "button",
    { type: "button", "data-place": place + 1 },
    element("span", {}, x, y),
    element("span", { class: "bar" }, bar),
  );
  button.addEventListener("click", () => {
    const z = state.z === index ? null : index;
    change(z === null ? "freed" : "chosen", { z });
  });
  paint(x, pixelsOf(typical.x, index, "x"), model.shapes.x, "--ink", 60);
  paint(y, pixelsOf(typical.y, index, "y"), model.shapes.y, "--made", 60);
  return { index, button, bar };
});
$("#concepts").append(...concepts.map(({ button }) => button));
$("#nats").setAttribute("aria-valuemax", Math.log(model.k).toFixed(2));

$("#lock-z").addEventListener("click", () => {
  if (state.z !== null) change("freed", { z: null });
  else if (current) {
    const { probabilities } = current;
    change("chosen", { z: probabilities.indexOf(Math.max(...probabilities)) });
  }
});

// u or v: the hands.

const hands = new Hands(() => change("turned"));
$("#lock-v").addEventListener("click", () => {
  state.lockV = !state.lockV;
  showControls();
});
$("#one").addEventListener("click", () => {
  change(state.oneHand ? "each" : "one", { oneHand: !state.oneHand });
});
$("#hands").addEventListener("click", () => change("hands", { seedV: state.seedV + 1 }));
$("#again").addEventListener("click", () => {
  change("again", { seedZ: state.seedZ + 1, seedV: state.seedV + (state.lockV ? 0 : 1) });
});

for (const radio of document.querySelectorAll("[name=side]")) {
  radio.addEventListener("change", () => {
    state.side = radio.value;
    paper.setPen(page.ink[state.side].pen);
    showSamples();
    if (state.sample !== null) state.image = pixelsOf(samples[state.side], state.sample, state.side);
    else state.image = imageOf(paper.strokes, page.ink[state.side], model.shapes[state.side]);
    change("side").then(others);
  });
}

// What comes further down loads when it is near.

const transfer = new Transfer(model, samples, manifest.pairing.label_map, () => state);
const pairs = new Pairs(model);
const shown = [];

function others() {
  for (const part of shown) part.refresh();
}

function firstShown() {
  document.documentElement.dataset.ready = "yes";
  performance.mark("first-image");
  const show = (part) => () => {
    if (part === transfer) shown.push(part);
    return part.refresh();
  };
  whenNear($("#transfer"), show(transfer));
  whenNear($("#pairs"), show(pairs));
}

/** For tests: what is shown, once nothing is under way. */
export async function shownNow() {
  await refresh();
  await Promise.all(shown.map((part) => part.refresh()));
  return { image: null, ...current, transfer: transfer.current, pairs: pairs.current, strokes: paper.strokes };
}

$("#nats-words").textContent = natsWords(model.k, manifest.nats);
$("#about").textContent = about(manifest);
showSamples();
await Promise.all([takeSample(Math.min(3, sampleButtons.length - 1)), ...first]).catch((error) => {
  $("#said").textContent = `The model did not load: ${error.message}`;
});
