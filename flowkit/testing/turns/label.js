// The page of `flowkit label`: rows of speech in, the same rows with the person's corrections out.
const AFTER = { pause: "the turn goes on", turn: "the turn is over", none: "this is not the user" };
const at = (id) => document.getElementById(id);
const player = new Audio();
let pieces = [], sound = false, changed = false, over = false;

// Texts are only ever set as text, never as markup.
function made(tag, fields, ...children) {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children);
  return element;
}

function say(text, bad = false) {
  at("state").textContent = text;
  at("state").className = bad ? "notice bad" : "notice good";
}

function touched() { changed = true; say(""); }

function time(piece, key, what) {
  const input = made("input", { type: "number", min: 0, step: "any", value: piece[key], ariaLabel: what });
  input.addEventListener("input", () => { piece[key] = input.valueAsNumber; touched(); });
  return input;
}

function choice(piece) {
  const options = Object.entries(AFTER).map(([value, text]) => made("option", { value, text, selected: value === piece.after }));
  const select = made("select", { ariaLabel: "after it" }, ...options);
  select.addEventListener("change", () => { piece.after = select.value; touched(); draw(); });
  return select;
}

function play(piece) {
  player.src = `sound?from=${piece.begins}&to=${piece.ends}`;
  player.play().catch((error) => say(`cannot play this: ${error.message}`, true));
}

// Two rows of one: the person then corrects where the pause is.
function split(place) {
  const { begins, ends } = pieces[place], round = (s) => Math.round(s * 100) / 100;
  const first = { ...pieces[place], ends: round(begins + (ends - begins) * 0.4), after: "pause", kind: "", part: "" };
  const second = { ...pieces[place], begins: round(begins + (ends - begins) * 0.6), text: "", asked: "", part: "" };
  pieces.splice(place, 1, first, second);
  touched();
  draw();
}

function row(piece, place, turn) {
  const button = (text, act, disabled = false) => {
    const one = made("button", { type: "button", textContent: text, disabled });
    one.addEventListener("click", act);
    return one;
  };
  const cells = [
    piece.after === "none" ? "" : String(turn), time(piece, "begins", "begins"), time(piece, "ends", "ends"), piece.text,
    choice(piece), made("span", {}, button("Play", () => play(piece), !sound), " ", button("Split", () => split(place))),
  ];
  return made("tr", { className: piece.after }, ...cells.map((cell) => made("td", {}, cell)));
}

function draw() {
  let turn = 1;
  at("rows").replaceChildren(...pieces.map((piece, place) => {
    const drawn = row(piece, place, turn);
    turn += piece.after === "turn";
    return drawn;
  }));
}

async function post(path, value) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
  const answer = await fetch(path, options), told = await answer.json();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
}

async function save() {
  const { turns } = await post("labels", pieces);
  changed = false;
  say(`saved: ${turns} ${turns === 1 ? "turn" : "turns"}`);
}

async function done() {
  await save();
  await post("done", {});
  over = true;
  for (const one of document.querySelectorAll("button, input, select")) one.disabled = true;
  say("saved; the command has ended, and this page can be closed");
}

const guarded = (act) => () => act().catch((error) => say(error.message, true));
at("save").addEventListener("click", guarded(save));
at("done").addEventListener("click", guarded(done));
addEventListener("beforeunload", (event) => { if (changed && !over) event.preventDefault(); });

const told = await (await fetch("labels")).json();
({ pieces, sound } = told);
at("name").textContent = told.name;
document.title = `${told.name} - flowkit label`;
at("notice").textContent = told.notice;
draw();
