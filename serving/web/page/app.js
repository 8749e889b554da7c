// The page: what the controls mean, and what is shown after each change.

import { Concepts, showHeld } from "./concepts.js";
import { $, coalesced, element, tile, whenNear } from "./dom.js";
import { load, run } from "./engine.js";
import { Hands, MAP_TILES, mapLocals, turn } from "./hands.js";
import { decodeImages, imageOf, paint } from "./ink.js";
import { LOCAL, Model, OTHER, oneHot, sampleZ } from "./model.js";
import { Noise } from "./noise.js";
import { Pairs } from "./pairs.js";
import { Paper } from "./paper.js";
import { Transfer } from "./transfer.js";
import { about, names, told } from "./words.js";

for (const name of ["error", "unhandledrejection"]) {
  addEventListener(name, ({ reason, message }) => {
    $("#said").textContent = `The model did not load: ${reason?.message ?? message}`;
  });
}

// What the engine needs first starts before anything else.
load("posterior_x_z");
load("decode_y");

const [manifest, page] = await Promise.all(
  ["bundle/manifest.json", "page.json"].map(async (file) => (await fetch(file)).json()),
);
export const model = new Model(manifest, run);
const samples = { x: decodeImages(page.samples.x), y: decodeImages(page.samples.y) };
const typical = { x: decodeImages(page.typical.x), y: decodeImages(page.typical.y) };
const first = { ...page.first, images: decodeImages(page.first.images) };
const COUNT = page.first.images.length;
const title = names(manifest.pairing.label_map);

const state = {
  side: "x", // what the drawing is taken for
  image: null,
  sample: null, // which sample was taken instead of drawing
  z: null, // the value that z is locked to; null where the drawing decides
  seedZ: first.seed,
  seedLocal: first.seed,
  lockLocal: false,
  oneHand: false,
  cause: "input",
};
let current = null;

const grid = Array.from({ length: COUNT }, tile);
$("#grid").append(...grid);

const part = (images, index, side) =>
  images.subarray(index * model.pixels(side), (index + 1) * model.pixels(side));

/** The locals of the samples, as drawn from the prior and turned. */
function locals() {
  const name = LOCAL[OTHER[state.side]];
  const { size } = model.latents[name];
  let noise = new Noise(state.seedLocal).normal(COUNT * size);
  if (state.oneHand) noise = Float32Array.from(noise, (_, i) => noise[i % size]);
  return turn(noise, page.directions[name], hands.place);
}

/** Show what a state gives: images of the other side, z's bars, and words. */
function show({ side, z, lockLocal, cause }, { probabilities, images }) {
  const other = OTHER[side];
  grid.forEach((canvas, i) => paint(canvas, part(images, i, other), model.shapes[other]));
  concepts.show(probabilities);
  const given = { side, probabilities, lockedZ: z !== null, lockedLocal: lockLocal };
  $("#said").textContent = told(cause, { ...given, count: COUNT });
}

async function generate() {
  // All of the state before the first wait: it may change meanwhile.
  const given = { ...state };
  const { side, image, z: locked } = given;
  const [other, local] = [OTHER[side], locals()];
  const noiseZ = new Noise(state.seedZ).uniform(COUNT * model.k);
  if (!image) {
    showNothing();
    return;
  }
  const probabilities = await model.posterior(side, image);
  const likeliest = probabilities.indexOf(Math.max(...probabilities));
  const z =
    locked === null ? sampleZ(probabilities, noiseZ, model.k) : oneHot(COUNT, model.k, locked);
  const images = await model.decode(other, z, local);
  current = { side, image, probabilities, likeliest, noiseZ, z, local, images };
  show(given, current);
  if (document.documentElement.dataset.ready !== "yes") engineReady();
  await showMap(other, locked ?? likeliest);
}

const refresh = coalesced(generate);

function change(cause, values = {}) {
  Object.assign(state, values, { cause });
  showControls();
  return refresh();
}

let mapped = "";

/** The map of hands, for the digit that is shown. */
async function showMap(side, value) {
  const key = `${side} ${value}`;
  if (key === mapped) return;
  mapped = key;
  const local = mapLocals(page.directions[LOCAL[side]]);
  const images = await model.decode(side, oneHot(MAP_TILES, model.k, value), local);
  hands.paint(images, model.shapes[side]);
}

function empty(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

function showNothing() {
  current = null;
  grid.forEach(empty);
  concepts.show(null);
  $("#said").textContent = "Draw a digit, or take a sample.";
}

function showControls() {
  const { side, image, sample } = state;
  const local = LOCAL[OTHER[side]];
  $("#title").textContent = title[side];
  $("#local-name").textContent = local;
  $("#lock-local").textContent = `Lock ${local}`;
  $("#lock-z").ariaPressed = state.z !== null;
  $("#lock-local").ariaPressed = state.lockLocal;
  $("#one").ariaPressed = state.oneHand;
  $("#hands").disabled = state.lockLocal;
  $("#again").disabled = state.lockLocal && state.z !== null;
  concepts.press(state.z);
  sampleButtons.forEach((button, i) => {
    button.ariaPressed = i === sample;
  });
  $("#hint").hidden = image !== null;
  $("#undo").disabled = !paper.strokes.length;
  $("#clear").disabled = !image;
  $("#given").hidden = sample === null;
  if (sample !== null) paint($("#given"), image, model.shapes[side], "--ink", 240);
  if (image) paint($("#seen"), image, model.shapes[side], "--ink", 1);
  else empty($("#seen"));
}

// The drawing, and the samples to take instead.

const drawn = () => imageOf(paper.strokes, page.ink[state.side], model.shapes[state.side]);

const paper = new Paper($("#paper"), page.ink.x.pen, () => {
  change("input", { image: drawn(), sample: null }).then(others);
});
$("#undo").addEventListener("click", () => paper.undo());
$("#clear").addEventListener("click", () => paper.clear());

function takeSample(sample) {
  paper.forget();
  return change("input", { sample, image: part(samples[state.side], sample, state.side) });
}

const sampleButtons = page.samples.x.map((_, i) => {
  const button = element("button", { type: "button", "aria-label": `sample ${i + 1}` }, tile());
  button.addEventListener("click", () => takeSample(i).then(others));
  return button;
});
$("#samples").append(...sampleButtons);

function showSamples() {
  const { side } = state;
  sampleButtons.forEach((button, i) => {
    paint(button.firstChild, part(samples[side], i, side), model.shapes[side], "--ink", 90);
  });
}

// z.

const lockZ = (z) => change(z === null ? "freed" : "chosen", { z });
const concepts = new Concepts(model, page.concepts, typical, (value) => {
  lockZ(state.z === value ? null : value);
});
$("#lock-z").addEventListener("click", () => {
  if (state.z !== null) lockZ(null);
  else if (current) lockZ(current.likeliest);
});

// u or v: the hands.

const hands = new Hands(() => change("turned"));
$("#lock-local").addEventListener("click", () => {
  state.lockLocal = !state.lockLocal;
  showControls();
});
$("#one").addEventListener("click", () => {
  change(state.oneHand ? "each" : "one", { oneHand: !state.oneHand });
});
$("#hands").addEventListener("click", () => change("hands", { seedLocal: state.seedLocal + 1 }));
$("#again").addEventListener("click", () => {
  const seedLocal = state.seedLocal + (state.lockLocal ? 0 : 1);
  change("again", { seedZ: state.seedZ + 1, seedLocal });
});

for (const radio of document.querySelectorAll("[name=side]")) {
  radio.addEventListener("change", () => {
    const { sample } = state;
    const side = (state.side = radio.value);
    paper.setPen(page.ink[side].pen);
    showSamples();
    const image = sample === null ? drawn() : part(samples[side], sample, side);
    change("side", { image }).then(others);
  });
}

// What comes further down loads when it is near, and follows the drawing when that rests.

const REST = 250;
const transfer = new Transfer(model, samples, manifest.pairing.label_map, () => state);
const pairs = new Pairs(model);
const near = new Set();
let resting;

function others() {
  clearTimeout(resting);
  if (near.has(transfer)) resting = setTimeout(() => transfer.refresh(), REST);
}

function engineReady() {
  document.documentElement.dataset.ready = "yes";
  performance.mark("engine-ready");
  for (const [name, grid] of Object.entries({ transfer, pairs })) {
    whenNear($(`#${name}`), () => {
      near.add(grid);
      grid.refresh();
    });
  }
}

/** For tests: what is shown, once nothing is under way. */
export async function shownNow() {
  await refresh();
  await Promise.all([...near].map((grid) => grid.refresh()));
  const below = { transfer: transfer.current, pairs: pairs.current };
  return { image: null, ...current, ...below, strokes: paper.strokes };
}

$("h1").textContent = document.title = title.page;
showHeld(model.k, manifest.nats);
$("#about").textContent = about(manifest);
showSamples();
const computed = takeSample(first.sample);
// The same was computed with the page, and waits for no engine.
show(state, first);
performance.mark("first-image");
await computed;
