// The page: connects the microphone, the speaker and the protocol with what is shown.

import { Conversation } from "./conversation.js";
import { Inside, authorized } from "./inside.js";
import { Realtime, at } from "./realtime.js";
import { Kept, Microphone, Player } from "./sound.js";

const $ = (id) => document.getElementById(id);
const LOCKED = document.body.dataset.token === "needed";
// The values of {{name}} for the sessions of this page, from its own address: ?var.name=Ann.
const VALUES = [...new URLSearchParams(location.search)].filter(([name]) => name.startsWith("var."));
const OWN = "of this conversation";
const GONE = "The server is gone, or refuses the connection.", BUSY = "The server takes no other session now. Try again later.";
const PER_MS = 24;  // samples of the player
const KEPT = 250;  // pieces of 40 ms that are kept while the page connects: ten seconds
// By the names that browsers give these errors.
const NO_MICROPHONE = {
  NotAllowedError: "The microphone was refused. Allow it in the browser, or write.",
  NotFoundError: "No microphone was found. You can write instead.",
};

// Where the connection is. Only CONNECTED has a session.
const Phase = Object.freeze({ APART: "not connected", CONNECTING: "connecting", CONNECTED: "connected" });

class Page {
  phase = Phase.APART;
  session = null;
  muted = false;
  replying = false;
  early = new Kept(KEPT);  // what was said while it connected
  sounding = null;  // {id, message, from}: the item that plays, or played last

  constructor() {
    this.conversation = new Conversation($("conversation"), (text) => { $("said").textContent = text; });
    this.inside = new Inside(() => this.list());
    $("access").hidden = !LOCKED;
    $("start").addEventListener("click", () => (this.phase === Phase.CONNECTED ? this.end() : this.start(true)));
    $("mute").addEventListener("click", () => { if (this.microphone) this.mute(!this.muted); });
    $("stop").addEventListener("click", () => this.stop());
    $("refresh").addEventListener("click", () => this.list());
    $("token").addEventListener("change", () => this.list());
    $("access").addEventListener("submit", (event) => { event.preventDefault(); this.list(); });
    $("write").addEventListener("submit", (event) => { event.preventDefault(); this.write($("line").value.trim()); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") this.stop(); });
    setInterval(() => this.tick(), 50);
    this.show();
    if (LOCKED) this.inside.nothing("Give a token to see them.");
    else this.list();
  }

  // -- who may ----------------------------------------------------------------------------------------------------------

  // A client secret, which a browser may hold. It is made from the token, unless the user has been given one.
  async secret() {
    const given = $("token").value.trim();
    if (!LOCKED || given.startsWith("ek_")) return LOCKED ? given : "";
    if (!given) throw new Error("Give a token first.");
    const variables = Object.fromEntries(VALUES.map(([name, value]) => [name.slice(4), value]));
    const session = VALUES.length ? { prompt: { variables } } : {};
    const asked = { method: "POST", headers: authorized(given), body: JSON.stringify({ observe: true, session }) };
    const answer = await fetch(at("v1/realtime/client_secrets"), asked);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error.message);
    return told.value;
  }

  async list() {
    if (LOCKED && !$("token").value.trim()) return;
    try {
      await this.inside.list(() => this.secret(), this.session, (id) => this.look(id, id));
    } catch (error) { this.inside.nothing(error.message); }
  }

  // Looks inside a session, if that is allowed. What a client secret allows, only the server knows.
  async look(id, whose) {
    const secret = await this.secret();
    const allowed = LOCKED ? await fetch(at("v1/flowkit/sessions"), { headers: authorized(secret) }) : { ok: true };
    if (allowed.ok) this.inside.look(id, secret, whose);
    else this.inside.refuse(`No looking inside: ${(await allowed.json()).error.message}`);
  }

  // -- the connection -----------------------------------------------------------------------------------------------------

  async start(speaks) {
    if (this.phase !== Phase.APART) return;
    this.fail("");
    this.enter(Phase.CONNECTING);
    try {
      const secret = await this.secret();
      if (Player.possible) {
        this.player = new Player();
        await this.player.open();
      }
      if (speaks) await this.openMicrophone();
      this.conversation.clear();
      this.sounding = null;
      await new Promise((resolve) => {
        this.connected = resolve;
        this.client = new Realtime(secret, LOCKED ? [] : VALUES, this.handlers());
      });
    } catch (error) {
      this.fail(NO_MICROPHONE[error.name] ?? error.message);
      this.release();
    }
  }

  async openMicrophone() {
    if (Microphone.refused) throw new Error(Microphone.refused);
    const microphone = new Microphone((bytes, db) => {
      $("user-level").value = this.muted ? -60 : db;
      if (this.muted) bytes.fill(0);  // what was on its way
      if (this.phase === Phase.CONNECTED) this.client.append(bytes);
      else if (this.phase === Phase.CONNECTING) this.early.add(bytes);
    });
    this.microphone = microphone;
    await microphone.open();
  }

  end() {
    this.client?.close();
    this.release();
  }

  // Lets go of everything that a conversation needs.
  release() {
    this.microphone?.close();
    this.player?.close();
    this.connected?.();
    this.early.take();
    this.cutOff("not heard: the conversation ended");
    Object.assign(this, { microphone: null, player: null, client: null, session: null, connected: null, muted: false, replying: false });
    $("user-level").value = $("agent-level").value = -60;
    this.enter(Phase.APART);
  }

  handlers() {
    return {
      "session.created": ({ session }) => {
        this.session = session.id;
        if (!this.player) this.client.read();
        this.enter(Phase.CONNECTED);
        for (const bytes of this.early.take()) this.client.append(bytes);
        this.connected?.();
        this.look(session.id, OWN);
      },
      "conversation.item.added": ({ item }) => this.added(item),
      "conversation.item.input_audio_transcription.delta": ({ item_id, delta }) => {
        const message = this.conversation.add(item_id, "user");
        message.write((message.text + delta).trimStart());
        this.conversation.follow();
      },
      "conversation.item.input_audio_transcription.completed": ({ item_id, transcript }) => {
        const message = this.conversation.add(item_id, "user");
        message.write(transcript || "(nothing was understood)");
        this.conversation.tell(message);
      },
      "response.created": () => { this.replying = true; this.show(); },
      "response.output_audio_transcript.delta": ({ item_id, delta }) => {
        this.conversation.item(item_id)?.begins(delta);
        this.conversation.follow();
      },
      "response.output_audio.done": ({ item_id }) => {
        const message = this.conversation.item(item_id);
        if (message) message.whole = true;
      },
      "conversation.item.retrieved": ({ item }) => {
        const message = this.conversation.item(item.id);
        message?.heardText(item.content.map((part) => part.transcript ?? "").join(""));
        message?.cut();
      },
      "response.output_text.delta": ({ item_id, delta }) => {
        const message = this.conversation.item(item_id);
        message?.write(message.text + delta);
      },
      "response.output_audio.delta": ({ item_id, audio }) => this.sound(item_id, audio),
      "response.done": ({ response }) => this.done(response),
      "input_audio_buffer.speech_started": () => { if (this.player?.playing) this.interrupted("not heard: you spoke"); },
      error: ({ error }) => this.fail(error.message),
      closed: (code, reason) => this.closed(code, reason),
    };
  }

  async closed(code, reason) {
    if (!this.client) return;  // it was this page that ended it
    if (code !== 1000) this.fail(reason ? `The connection was closed: ${reason}.` : GONE);
    this.release();
    // A browser does not say why a WebSocket was refused.
    const ready = code === 1006 && (await fetch(at("readyz")).catch(() => null));
    if (ready && !ready.ok) this.fail(BUSY);
  }

  // -- the conversation -----------------------------------------------------------------------------------------------------

  added(item) {
    if (item.type !== "message" || item.role === "system") return;
    const message = this.conversation.add(item.id, item.role);
    const text = item.content.map((part) => part.text ?? part.transcript ?? "").join(" ");
    if (text) message.write(text);
    else if (item.role === "user") message.write("…");
  }

  sound(id, audio) {
    const message = this.conversation.item(id);
    if (!message || message.over || !this.player) return;
    if (this.sounding?.id !== id) {
      this.sounding?.message.heardUntil(Infinity);
      this.sounding = { id, message, from: this.player.given };
    }
    message.sounds(audio.length / 2);
    this.player.play(audio);
  }

  done(response) {
    this.replying = false;
    for (const item of response.output) {
      const message = this.conversation.item(item.id);
      if (message) this.conversation.tell(message);
    }
    const sounds = response.output.some((item) => item.id === this.sounding?.id);
    if (response.status === "cancelled" && sounds) this.interrupted("not heard: it was stopped");
    if (response.status === "failed") this.fail(response.status_details?.error?.message ?? "The reply failed.");
    this.show();
  }

  // Stops what plays, tells the server how much of it was heard, and marks the rest. Returns whether anything played.
  async interrupted(note) {
    const { sounding, player, client } = this;
    if (!sounding || !player) return false;
    const playing = player.playing;
    await player.clear();
    if (!playing) return false;
    const heard = Math.min(player.played - sounding.from, sounding.message.length);
    client?.truncate(sounding.id, Math.max(0, Math.floor(heard / PER_MS)));
    this.cutOff(note);
    return true;
  }

  cutOff(note) {
    const message = this.sounding?.message;
    this.sounding = null;
    message?.cut(note);
  }

  async stop() {
    if (this.phase !== Phase.CONNECTED) return;
    if (!(await this.interrupted("not heard: you stopped it")) && this.replying) this.client?.cancel();
  }

  async write(text) {
    if (!text) return;
    if (this.phase === Phase.APART) await this.start(false);
    if (this.phase !== Phase.CONNECTED) return;
    $("line").value = "";
    await this.stop();
    this.client?.write(text);
  }

  mute(muted) {
    this.muted = this.microphone.muted = muted;
    this.show();
  }

  // -- what is shown --------------------------------------------------------------------------------------------------------

  enter(phase) {
    this.phase = phase;
    if (phase === Phase.CONNECTED) this.began = performance.now();
    this.show();
  }

  fail(why) {
    $("notice").textContent = why;
    $("notice").hidden = !why;
  }

  // Whose turn it is, as far as this page knows.
  get state() {
    if (this.phase !== Phase.CONNECTED) return this.phase;
    if (this.player?.playing) return "speaking";
    if (this.replying) return "thinking";
    return this.microphone ? (this.muted ? "muted" : "listening") : "connected";
  }

  show() {
    const { state, phase } = this, connected = phase === Phase.CONNECTED;
    if ($("state").textContent !== state) $("state").textContent = state;
    $("dot").className = state.replace(" ", "-");
    $("start").textContent = phase === Phase.APART ? "Start talking" : connected ? "End" : "Connecting…";
    // None is disabled as HTML has it: a button that is would lose the focus when it is pressed.
    const idle = { start: phase === Phase.CONNECTING, mute: !connected || !this.microphone, stop: !connected || !(this.replying || this.player?.playing) };
    for (const [id, is] of Object.entries(idle)) $(id).setAttribute("aria-disabled", String(is));
    $("mute").setAttribute("aria-pressed", String(this.muted));
    $("empty").hidden = $("conversation").childElementCount > 0;
  }

  // Twenty times a second: how much was heard, the level, the time.
  tick() {
    if (this.phase !== Phase.CONNECTED) return;
    $("agent-level").value = this.player?.db ?? -60;
    const s = Math.floor((performance.now() - this.began) / 1000);
    $("clock").textContent = `${String(Math.floor(s / 60)).padStart(2, "0")}:${String(s % 60).padStart(2, "0")}`;
    if (this.sounding) this.sounding.message.heardUntil(this.player.played - this.sounding.from);
    this.show();
  }
}

new Page();
