"use strict";
// What runs on the audio thread: the microphone, in pieces for the server, and the player, which knows what it has played.

const RATE = 24000, PIECE = 960, SILENT_DB = -60;
const SILENCE = new Float32Array(128);
const TAPS = 12;  // zero crossings of the sinc on each side

const decibels = (peak) => (peak > 0 ? Math.max(SILENT_DB, 20 * Math.log10(peak)) : SILENT_DB);

// From the microphone's rate to the server's: a windowed sinc, cut off below half of the lower rate.
class Resampler {
  constructor(from, to) {
    this.step = from / to;
    this.cutoff = Math.min(1, to / from) * 0.95;
    this.half = Math.ceil(TAPS / this.cutoff);
    this.held = new Float32Array(2 * this.half);
    this.at = this.half;  // place of the next sample in `held`
  }

  tap(x) {
    if (Math.abs(x) >= this.half) return 0;
    const y = Math.PI * x * this.cutoff, window = Math.cos((Math.PI * x) / (2 * this.half)) ** 2;
    return this.cutoff * window * (y === 0 ? 1 : Math.sin(y) / y);
  }

  push(samples) {
    const all = new Float32Array(this.held.length + samples.length), out = [];
    all.set(this.held);
    all.set(samples, this.held.length);
    for (; this.at + this.half < all.length; this.at += this.step) {
      const first = Math.ceil(this.at - this.half);
      let sum = 0;
      for (let i = Math.max(0, first); i <= this.at + this.half; i++) sum += all[i] * this.tap(this.at - i);
      out.push(sum);
    }
    const done = Math.max(0, Math.floor(this.at - this.half));
    this.held = all.slice(done);
    this.at -= done;
    return out;
  }
}

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
    this.peak = 0;
  }

  process(inputs) {
    // A muted microphone may give nothing at all, and the server has to hear the silence.
    for (const value of this.resampler.push(inputs[0][0] ?? SILENCE)) {
      this.peak = Math.max(this.peak, Math.abs(value));
      this.piece[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
      if (this.filled === PIECE) this.send();
    }
    return true;
  }

  send() {
    const pcm = this.piece.buffer;
    this.port.postMessage({ pcm, db: decibels(this.peak) }, [pcm]);
    this.piece = new Int16Array(PIECE);
    this.filled = this.peak = 0;
  }
}

// Plays what it is given, one piece after another. Its context runs at the server's rate.
class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = [];
    this.first = 0;  // of the first piece, how many samples were played
    this.played = 0;
    this.told = 0;
    this.peak = 0;
    this.port.onmessage = ({ data }) => {
      if (data.pcm) this.pieces.push(new Int16Array(data.pcm));
      else this.clear();
    };
  }

  clear() {
    this.pieces = [];
    this.first = this.peak = 0;
    this.port.postMessage({ cleared: true, played: this.played, db: SILENT_DB });
  }

  process(_, outputs) {
    const out = outputs[0][0];
    for (let i = 0; i < out.length && this.pieces.length; i++) {
      out[i] = this.pieces[0][this.first++] / 32768;
      this.peak = Math.max(this.peak, Math.abs(out[i]));
      this.played++;
      if (this.first === this.pieces[0].length) {
        this.pieces.shift();
        this.first = 0;
      }
    }
    if (currentFrame - this.told >= RATE / 20) {
      this.told = currentFrame;
      this.port.postMessage({ played: this.played, db: decibels(this.peak) });
      this.peak = 0;
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
registerProcessor("player", Player);
