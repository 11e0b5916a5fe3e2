// card.json and the model as a detector on ONNX Runtime, which lies beside this page and asks nobody for anything.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { Detector } from "./detector.js";

ort.env.wasm.numThreads = 1; // a step is under a millisecond
ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;

/** card: card.json as an object; model: ArrayBuffer of the file that it names -> Promise of a Detector. */
export async function load(card, model) {
  const sha256 = hex(await crypto.subtle.digest("SHA-256", model));
  if (sha256 !== card.sha256) throw new Error(`${card.model}: its sha256 is not the card's. Take both files of one bundle.`);
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return Detector.ready(card, async (samples, state) => {
    const fed = {
      samples: new ort.Tensor("float32", samples, [1, card.step_samples]),
      state: new ort.Tensor("float32", state, [1, card.state_size]),
    };
    const { scores, new_state } = await session.run(fed);
    return { scores: scores.data, state: new_state.data };
  });
}

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
