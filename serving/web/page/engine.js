// The page's side of the worker that runs graphs.

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let count = 0;

worker.onmessage = ({ data: { id, outputs, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(outputs);
};

worker.onerror = (event) => {
  for (const { reject } of waiting.values()) reject(new Error(event.message ?? "no worker"));
  waiting.clear();
};

function send(graph, feeds) {
  return new Promise((resolve, reject) => {
    count += 1;
    waiting.set(count, { resolve, reject });
    worker.postMessage({ id: count, graph, feeds });
  });
}

/** Run a graph on `{input: {data, dims}}`; a promise of `{output: Float32Array}`. */
export const run = (graph, feeds) => send(graph, feeds);

/** Fetch and open a graph before it is needed. */
export const load = (graph) => send(graph, null);
