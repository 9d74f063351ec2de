// What was said, as a list. Of what the agent says, the part that has sounded is dark and the rest is pale.

export const element = (tag, name = "", text = "") => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
};

const MS_PER_LETTER = 65;  // of a voice that has said nothing yet

// One message. Texts are set as text, so nothing in them is taken for HTML.
class Message {
  constructor(list, who) {
    this.who = who;
    this.heard = element("span", "heard");
    this.rest = element("span", "rest");
    this.note = element("span", "note");
    const line = element("li", who === "You" ? "user" : "agent");
    const words = element("p", "words");
    words.append(this.heard, this.rest);
    line.append(element("span", "who", who), words, this.note);
    list.append(line);
    this.line = line;
    this.pieces = [];  // {text, fromMs, toMs}: a text, and when it sounds in the message
  }

  get text() { return this.pieces.map((piece) => piece.text).join(""); }

  // A text that needs no sound.
  write(text) {
    this.pieces = [{ text, fromMs: 0, toMs: 0 }];
    this.heardUntil(0);
  }

  // The text of the sound that follows.
  begins(text) {
    const at = this.lengthMs;
    this.pieces.push({ text, fromMs: at, toMs: at, sounds: true });
    this.heardUntil(this.untilMs ?? 0);
  }

  sounds(ms) { if (this.pieces.length) this.pieces.at(-1).toMs += ms; }

  get lengthMs() { return this.pieces.at(-1)?.toMs ?? 0; }

  // How long a piece takes. Of the last one more may come: it is taken to be spoken as fast as those before.
  #takesMs(piece) {
    const known = piece.toMs - piece.fromMs;
    if (piece !== this.pieces.at(-1) || this.whole) return known;
    const before = this.pieces.slice(0, -1).filter(({ sounds }) => sounds);
    const letters = before.reduce((sum, { text }) => sum + text.length, 0);
    return Math.max(known, piece.text.length * (letters ? piece.fromMs / letters : MS_PER_LETTER));
  }

  heardUntil(ms) {
    this.untilMs = ms;
    let count = 0;
    for (const piece of this.pieces) {
      const { text, fromMs, sounds } = piece, lasts = sounds ? this.#takesMs(piece) : 0;
      if (ms >= fromMs + lasts) count += text.length;
      // Whole words, as in the history that the model gets.
      else if (ms > fromMs) count += text.slice(0, Math.floor((text.length * (ms - fromMs)) / lasts)).lastIndexOf(" ") + 1;
    }
    this.#show(count);
  }

  // The server says that of the text only `heard` was heard.
  heardText(heard) {
    const text = this.text, at = text.indexOf(heard);
    if (at >= 0) this.#show(heard ? at + heard.length : 0);
  }

  #show(count) {
    const { text } = this;
    if (this.heard.textContent.length === count && this.rest.textContent.length === text.length - count) return;
    this.heard.textContent = text.slice(0, count);
    this.rest.textContent = text.slice(count);
  }

  // The rest will not sound, even if it is still on its way. `why` is shown, if there is a rest.
  cut(why = this.why) {
    this.over = true;
    this.why = why;
    this.line.classList.add("cut");
    this.note.textContent = this.rest.textContent ? why : "";
  }
}

export class Conversation {
  #items = new Map();
  // `list` is an element, `say` is called with what a screen reader should read out.
  constructor(list, say) { Object.assign(this, { list, say }); }

  item(id) { return this.#items.get(id); }

  add(id, role) {
    if (this.#items.has(id)) return this.#items.get(id);
    const follows = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    const made = new Message(this.list, role === "user" ? "You" : "Agent");
    this.#items.set(id, made);
    if (follows) this.follow();
    return made;
  }

  follow() { this.list.scrollTop = this.list.scrollHeight; }

  tell(message) { if (message.text.trim()) this.say(`${message.who}: ${message.text.trim()}`); }

  clear() {
    this.#items.clear();
    this.list.replaceChildren();
  }
}
