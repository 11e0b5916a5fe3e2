// Sound at any rate -> 16 kHz, chunk by chunk: a windowed sinc, one row of weights for each place between two samples.

const ZEROS = 24; // zero crossings on each side: the more, the steeper
const ROLL_OFF = 0.94; // the pass band ends here, as a share of the lower rate's half

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

export class Resampler {
  /** from_hz, to_hz: whole numbers. */
  constructor(from_hz, to_hz = 16000) {
    const shared = gcd(from_hz, to_hz);
    this.up = to_hz / shared;
    this.down = from_hz / shared;
    const cutoff = ROLL_OFF * Math.min(1, to_hz / from_hz); // of half the input's rate
    this.half = Math.ceil(ZEROS / cutoff);
    this.rows = Array.from({ length: this.up }, (_, phase) => weights(phase / this.up, this.half, cutoff));
    this.waiting = new Float32Array(this.half - 1); // before the first sample there was silence
    this.at = 0; // of the next output sample, in 1/up of an input sample, from the first that waits
  }

  /** The next samples, Float32Array of any length -> Float32Array; the last `half` samples of the input are still to come. */
  process(samples) {
    const heard = new Float32Array(this.waiting.length + samples.length);
    heard.set(this.waiting);
    heard.set(samples, this.waiting.length);
    const made = [];
    let first = Math.floor(this.at / this.up);
    while (first + 2 * this.half <= heard.length) {
      const row = this.rows[this.at % this.up];
      let sum = 0;
      for (let i = 0; i < row.length; i++) sum += row[i] * heard[first + i];
      made.push(sum);
      this.at += this.down;
      first = Math.floor(this.at / this.up);
    }
    const gone = Math.min(first, heard.length);
    this.waiting = heard.slice(gone);
    this.at -= gone * this.up;
    return Float32Array.from(made);
  }
}

/** Weights of the 2 * half samples around a place `between` two of them, 0..1; they sum to 1. */
function weights(between, half, cutoff) {
  const row = Float64Array.from({ length: 2 * half }, (_, i) => {
    const x = i - (half - 1) - between;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
    const place = x / half; // -1..1
    return sinc * (0.42 + 0.5 * Math.cos(Math.PI * place) + 0.08 * Math.cos(2 * Math.PI * place)); // Blackman
  });
  const sum = row.reduce((total, one) => total + one, 0);
  return row.map((one) => one / sum);
}
