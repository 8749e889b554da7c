// onnxruntime-web in a thread of its own, so that the page paints while a model loads or runs.

import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.logLevel = "error";

// A session of the smallest ONNX model there is (b = a) has the WebAssembly compiled while graphs
// are still on their way.
const smallest =
  "CAg6NwoQCgFhEgFiIghJZGVudGl0eRIBZ1oPCgFhEgoKCAgBEgQKAggBYg8KAWISCgoICAESBAoCCAFCBAoAEBI=";
const started = ort.InferenceSession.create(
  Uint8Array.from(atob(smallest), (char) => char.charCodeAt(0)),
);

async function fetched(file) {
  const response = await fetch(new URL(`./bundle/${file}`, import.meta.url).href);
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return response;
}

// Weights that graphs share; of a bundle that lists no such file, graphs hold their own.
const WEIGHTS = "onnx/weights.bin";
let shared = null;

async function fetchWeights() {
  const { files } = await (await fetched("manifest.json")).json();
  if (!(WEIGHTS in files)) return [];
  const data = new Uint8Array(await (await fetched(WEIGHTS)).arrayBuffer());
  return [{ path: "weights.bin", data }];
}

function weights() {
  if (!shared) {
    shared = fetchWeights();
    // A failed load may be tried again.
    shared.catch(() => (shared = null));
  }
  return shared;
}

const sessions = new Map();
let opening = Promise.resolve();

function session(graph) {
  if (!sessions.has(graph)) {
    const file = fetched(`onnx/${graph}.onnx`).then((response) => response.arrayBuffer());
    const parts = Promise.all([file, weights(), started]);
    // Whoever opens it hears of an error, once it is its turn.
    parts.catch(() => {});
    // One after the other: onnxruntime-web forgets all external data when a session is there.
    const opened = opening.then(async () => {
      const [content, externalData] = await parts;
      return ort.InferenceSession.create(content, { logSeverityLevel: 3, externalData });
    });
    opening = opened.catch(() => {});
    sessions.set(graph, opened);
    // A failed load may be tried again.
    opened.catch(() => sessions.delete(graph));
  }
  return sessions.get(graph);
}

async function run(graph, feeds) {
  const opened = await session(graph);
  const tensors = Object.entries(feeds).map(([name, { data, dims }]) => [
    name,
    new ort.Tensor("float32", data, dims),
  ]);
  const results = await opened.run(Object.fromEntries(tensors));
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
}

// One after the other: a session takes one run at a time.
let last = Promise.resolve();

onmessage = ({ data: { id, graph, feeds } }) => {
  // Files of all graphs asked for come in together, whatever is running.
  const opened = session(graph);
  last = last.then(async () => {
    try {
      await opened;
      postMessage({ id, outputs: feeds ? await run(graph, feeds) : {} });
    } catch (error) {
      postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
