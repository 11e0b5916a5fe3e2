// Chunks of 16 kHz samples in, detections out. The same numbers as src/wakesmith/runtime/detector.py gives, chunk sizes change nothing.

const SAME_S = 1e-6; // times closer than this are one

/** Smoothed scores of one phrase -> detections: one for each time the score comes up to the threshold, then a quiet time. */
class Gate {
  constructor(phrase, point) {
    this.phrase = phrase;
    this.point = point;
    this.last = new Array(point.smoothing_window).fill(0); // scores of the mean, oldest first; before the first there were zeros
    this.armed = true; // the score was below the threshold since the last detection
    this.quietUntil_s = -Infinity;
  }

  /** The next score at its time -> a detection or null. */
  feed(time_s, score) {
    this.last.shift();
    this.last.push(score);
    const smoothed = this.last.reduce((sum, one) => sum + one, 0) / this.last.length;
    if (smoothed < this.point.threshold) {
      this.armed = true;
      return null;
    }
    if (!this.armed || time_s < this.quietUntil_s - SAME_S) return null;
    this.armed = false;
    this.quietUntil_s = time_s + this.point.refractory_s;
    return { time_s, score: smoothed, phrase: this.phrase };
  }
}

/** A bundle that listens. Each detector keeps its own state: use one per stream. */
export class Detector {
  /**
   * card: card.json as an object. step: async (samples Float32Array(step_samples), state Float32Array(state_size)) ->
   * {scores Float32Array(scores_per_step * phrases), state}. Use `Detector.ready`, which lets the model hear silence first.
   */
  constructor(card, step) {
    this.card = card;
    this.step = step;
    this.turn = Promise.resolve();
  }

  static async ready(card, step) {
    const made = new Detector(checked(card), step);
    // A model that has heard nothing at all is in a state that no stream brings about.
    let state = new Float32Array(card.state_size);
    const silence = new Float32Array(card.step_samples);
    for (let i = 0; i < Math.ceil(card.receptive_samples / card.step_samples); i++) ({ state } = await step(silence, state));
    made.silence = state;
    made.reset();
    return made;
  }

  /** Forget everything heard; time starts at 0 again. */
  reset() {
    this.state = this.silence;
    this.waiting = new Float32Array(0);
    this.nScores = 0;
    this.gates = this.card.phrases.map((one) => new Gate(one.text, one.operating_point));
  }

  /**
   * Hear the next samples, Float32Array of any length in -1..1 -> Promise of detections [{time_s, score, phrase}].
   * Calls wait for one another. onScores(time_s, scores of the phrases) is called for every raw score.
   */
  process(samples, onScores = () => {}) {
    const heard = this.turn.then(() => this.hear(samples, onScores));
    this.turn = heard.catch(() => {}); // whoever called is told; the next call is heard
    return heard;
  }

  async hear(samples, onScores) {
    const { step_samples, scores_per_step, rate_hz } = this.card;
    const heard = new Float32Array(this.waiting.length + samples.length);
    heard.set(this.waiting);
    heard.set(samples, this.waiting.length);
    const found = [];
    let start = 0;
    for (; start + step_samples <= heard.length; start += step_samples) {
      const { scores, state } = await this.step(heard.slice(start, start + step_samples), this.state);
      this.state = state;
      for (let i = 0; i < scores_per_step; i++) {
        this.nScores++;
        const time_s = (this.nScores * (step_samples / scores_per_step)) / rate_hz; // the end of the samples it rests on
        const own = scores.slice(i * this.gates.length, (i + 1) * this.gates.length);
        onScores(time_s, own);
        found.push(...this.gates.map((gate, k) => gate.feed(time_s, own[k])).filter((hit) => hit !== null));
      }
    }
    this.waiting = heard.slice(start);
    return found;
  }
}

function checked(card) {
  if (card.format_version !== 2) throw new Error(`card.json: format_version ${card.format_version}, this page reads 2. Export the bundle again.`);
  if (card.front_end === "outside") throw new Error(`card.json: its front-end ${card.features.name} lies outside of the model, and this page has none. Forge with features log_mel.`);
  const open = card.phrases.filter((one) => !one.operating_point).map((one) => one.text);
  if (open.length) throw new Error(`card.json: no operating point yet for ${open.join(", ")}. Run wakesmith evaluate.`);
  return card;
}
