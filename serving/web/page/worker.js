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

const sessions = new Map();

function session(graph) {
  if (!sessions.has(graph)) {
    const file = new URL(`./bundle/onnx/${graph}.onnx`, import.meta.url).href;
    const opened = fetch(file)
      .then(async (response) => {
        if (!response.ok) throw new Error(`${graph}.onnx: ${response.status}`);
        const content = await response.arrayBuffer();
        await started;
        return content;
      })
      .then((content) => ort.InferenceSession.create(content, { logSeverityLevel: 3 }));
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
