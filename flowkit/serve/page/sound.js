// The microphone and the speaker of this page. Of the player, what was given and played is counted in samples since it began.

const WORKLETS = new URL("worklets.js", import.meta.url), RATE = 24000, SILENT_DB = -60;

export class Microphone {
  #context; #stream;
  // `heard` is called with pieces of 16-bit samples at 24 kHz, as bytes, and with their level in decibels.
  constructor(heard) { this.heard = heard; }

  // Why there can be no microphone here; empty if there can.
  static get refused() {
    if (navigator.mediaDevices?.getUserMedia) return "";
    return "The browser gives no microphone and no sound to this address: it needs https, or localhost. You can write, and read.";
  }

  async open() {
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(WORKLETS);
    const node = new AudioWorkletNode(this.#context, "microphone");
    node.port.onmessage = ({ data }) => this.heard(new Uint8Array(data.pcm), data.db);
    // A node that leads nowhere would not be run. It plays nothing.
    this.#context.createMediaStreamSource(this.#stream).connect(node).connect(this.#context.destination);
    await this.#context.resume();
  }

  set muted(muted) { for (const track of this.#stream?.getTracks() ?? []) track.enabled = !muted; }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
  }
}

// The newest pieces of sound, for a session that is not there yet.
export class Kept {
  #pieces = [];
  constructor(most) { this.most = most; }

  add(bytes) {
    this.#pieces.push(bytes);
    if (this.#pieces.length > this.most) this.#pieces.shift();
  }

  // What was kept, from the oldest on. Afterwards nothing is.
  take() { return this.#pieces.splice(0); }
}

export class Player {
  #context; #node; #given = 0; #played = 0; #cleared = [];
  db = SILENT_DB;

  // Browsers play by a worklet only where they give a microphone, too.
  static get possible() { return "audioWorklet" in AudioContext.prototype; }

  async open() {
    this.#context = new AudioContext({ sampleRate: RATE });
    await this.#context.audioWorklet.addModule(WORKLETS);
    this.#node = new AudioWorkletNode(this.#context, "player", { outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => {
      this.#played = data.played;
      this.db = data.db;
      if (data.cleared) this.#cleared.shift()?.();
    };
    this.#node.connect(this.#context.destination);
    this.#context.resume();  // not awaited: without a loudspeaker it would never be done, and one can read
  }

  // Plays bytes of 16-bit samples, after what was given before.
  play(bytes) {
    this.#given += bytes.length / 2;
    this.#node.port.postMessage({ pcm: bytes.buffer }, [bytes.buffer]);
  }

  // Drops what has not been played, and waits until that is done. Then `played` is exact.
  async clear() {
    if (this.#context.state === "running") {
      await new Promise((resolve) => { this.#cleared.push(resolve); this.#node.port.postMessage({}); });
    }
    this.#given = this.#played;
  }

  get given() { return this.#given; }
  // What has left the loudspeaker: what the device has taken and not played yet does not count.
  get played() {
    const waits = this.playing || this.db > SILENT_DB ? (this.#context?.outputLatency || 0) : 0;
    return Math.max(0, this.#played - waits * RATE);
  }
  get playing() { return this.#played < this.#given; }

  close() { this.#context?.close(); }
}
