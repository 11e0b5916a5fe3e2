// The page: a bundle, the microphone, the score over time, the detections.
import { load } from "./bundle.js";
import { Resampler } from "./resampler.js";

const SHOWN_S = 10;
const LONGEST_LAG = 500; // blocks that may wait: who hears slower than that will never catch up
const [files, listen, told, canvas, hits] = ["files", "listen", "told", "scores", "hits"].map((id) => document.getElementById(id));
let detector = null;
let microphone = null; // {context, stream} while it is heard; without a stream while it is asked for
let history = []; // [time_s, scores of the phrases]
let nWaiting = 0; // blocks that were not heard yet

function say(text, bad = false) {
  told.textContent = text;
  told.toggleAttribute("data-bad", bad);
}

/** Run what may fail, and tell why it did. */
async function trying(work) {
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  }
}

async function take(card, model) {
  stop();
  detector = null;
  listen.disabled = true;
  say("Loading ...");
  detector = await load(card, model);
  listen.disabled = false;
  say(`Ready for ${card.phrases.map((one) => `“${one.text}”`).join(" and ")}.`);
}

/** The bundle that lies beside this page, if one does. */
async function beside() {
  const found = await fetch("card.json");
  if (!found.ok) return;
  const card = await found.json();
  const model = await fetch(card.model);
  if (!model.ok) throw new Error(`${card.model}: card.json names it, but it is not here. Copy the whole bundle.`);
  await take(card, await model.arrayBuffer());
}

async function chosen() {
  const named = Object.fromEntries(Array.from(files.files, (file) => [file.name, file]));
  if (!named["card.json"]) throw new Error("card.json is not among the files. Choose it and the model together.");
  const card = JSON.parse(await named["card.json"].text());
  if (!named[card.model]) throw new Error(`${card.model} is not among the files. Choose it and card.json together.`);
  await take(card, await named[card.model].arrayBuffer());
}

async function start() {
  const own = (microphone = { context: new AudioContext() }); // before it is granted, so that the next press stops it
  listen.textContent = "Stop";
  say("Waiting for the microphone ...");
  // What cleans speech for telephones was not there when the model learned.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    own.stream = await navigator.mediaDevices.getUserMedia({ audio });
    if (microphone === own) await own.context.audioWorklet.addModule("worklet.js");
  } catch (error) {
    if (microphone !== own) return;
    stop();
    throw error;
  }
  if (microphone !== own) return mute(own);
  const { context, stream } = own;
  const tap = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
  const resampler = new Resampler(context.sampleRate, detector.card.rate_hz);
  detector.reset();
  history = [];
  nWaiting = 0;
  tap.port.onmessage = ({ data }) => microphone === own && trying(() => hear(resampler.process(data)));
  context.createMediaStreamSource(stream).connect(tap);
  say("Listening.");
}

function mute({ stream }) {
  stream?.getTracks().forEach((track) => track.stop());
}

function stop() {
  if (!microphone) return;
  mute(microphone);
  microphone.context.close();
  microphone = null;
  listen.textContent = "Listen";
  say("Stopped.");
}

async function hear(samples) {
  if (++nWaiting > LONGEST_LAG) {
    stop();
    throw new Error("The sound piles up faster than it is heard. Use a smaller student or a faster machine.");
  }
  const heard = detector.process(samples, (time_s, scores) => history.push([time_s, scores]));
  const found = await heard.finally(() => nWaiting--);
  history = history.filter(([time_s]) => time_s > history.at(-1)[0] - SHOWN_S);
  for (const hit of found) {
    const line = document.createElement("li");
    line.textContent = `${hit.phrase} at ${hit.time_s.toFixed(2)} s, score ${hit.score.toFixed(3)}`;
    hits.prepend(line);
  }
}

function draw() {
  requestAnimationFrame(draw);
  const [width, height] = [(canvas.width = canvas.clientWidth), (canvas.height = canvas.clientHeight)];
  const pen = canvas.getContext("2d");
  if (!detector || !history.length) return;
  const end_s = history.at(-1)[0];
  const x = (time_s) => width * (1 - (end_s - time_s) / SHOWN_S);
  const y = (score) => height * (1 - score);
  detector.card.phrases.forEach((phrase, k) => {
    pen.strokeStyle = pen.fillStyle = `hsl(${210 + 80 * k} 70% 50%)`;
    line(pen, history.map(([time_s, scores]) => [x(time_s), y(scores[k])]));
    pen.setLineDash([4, 4]);
    line(pen, [0, width].map((side) => [side, y(phrase.operating_point.threshold)]));
    pen.setLineDash([]);
    pen.fillText(phrase.text, 4, 12 + 14 * k);
  });
}

function line(pen, points) {
  pen.beginPath();
  points.forEach(([x, y]) => pen.lineTo(x, y));
  pen.stroke();
}

files.onchange = () => trying(chosen);
listen.onclick = () => (microphone ? stop() : trying(start));
trying(beside);
draw();
