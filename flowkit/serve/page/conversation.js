// What was said, as a list. Of what the agent says, the part that has sounded is dark and the rest is pale.

export const element = (tag, name = "", text = "") => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
};

// Sound is counted in samples at 24 kHz: sums of milliseconds would differ in their last digit, and a last word stay pale.
const PER_LETTER = 1560;  // of a voice that has said nothing yet: 65 ms

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
    this.pieces = [];  // {text, from, to}: a text, and when it sounds in the message
  }

  get text() { return this.pieces.map((piece) => piece.text).join(""); }

  // A text that needs no sound.
  write(text) {
    this.pieces = [{ text, from: 0, to: 0 }];
    this.heardUntil(0);
  }

  // The text of the sound that follows.
  begins(text) {
    const at = this.length;
    this.pieces.push({ text, from: at, to: at, sounds: true });
    this.heardUntil(this.until ?? 0);
  }

  sounds(samples) { if (this.pieces.length) this.pieces.at(-1).to += samples; }

  get length() { return this.pieces.at(-1)?.to ?? 0; }

  // How long a piece takes. Of the last one more may come: it is taken to be spoken as fast as those before.
  #takes(piece) {
    const known = piece.to - piece.from;
    if (piece !== this.pieces.at(-1) || this.whole) return known;
    const before = this.pieces.slice(0, -1).filter(({ sounds }) => sounds);
    const letters = before.reduce((sum, { text }) => sum + text.length, 0);
    return Math.max(known, piece.text.length * (letters ? piece.from / letters : PER_LETTER));
  }

  heardUntil(samples) {
    this.until = samples;
    let count = 0;
    for (const piece of this.pieces) {
      const { text, from, sounds } = piece, lasts = sounds ? this.#takes(piece) : 0;
      if (samples >= from + lasts) count += text.length;
      // Whole words, as in the history that the model gets.
      else if (samples > from) count += text.slice(0, Math.floor((text.length * (samples - from)) / lasts)).lastIndexOf(" ") + 1;
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
