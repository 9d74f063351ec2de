// Looking inside: draws the observations of a session, and lists the sessions with their reports.

import { element } from "./conversation.js";
import { at, socket } from "./realtime.js";

const $ = (id) => document.getElementById(id);
const words = (name) => name.replaceAll("_", " ");
const msText = (ms) => `${Math.round(ms).toLocaleString("en")} ms`;
const lengthText = (ms) => (ms < 60000 ? `${Math.round(ms / 1000)} s` : `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`);
const KEPT_TURNS = 8;

export const authorized = (secret) => (secret ? { authorization: `Bearer ${secret}` } : {});

export class Inside {
  #turns = new Map(); #watching = null;
  // `ended` is called when the session that is shown has ended.
  constructor(ended) { this.ended = ended; }

  // Shows a session. `secret` is one that may look inside, or empty if none is needed.
  look(id, secret, whose) {
    this.#watching?.close();
    this.#turns.clear();
    const watching = (this.#watching = socket(`v1/flowkit/observe?session=${encodeURIComponent(id)}`, secret));
    $("whose").textContent = whose;
    watching.onmessage = ({ data }) => { if (watching === this.#watching) this.draw(JSON.parse(data)); };
    watching.onclose = ({ code }) => {
      if (watching !== this.#watching) return;
      this.refuse("The session has ended.");
      if (code === 1000) this.ended();
    };
  }

  // Says why nothing is shown, or nothing new.
  refuse(why) {
    $("closed").textContent = why;
    $("closed").hidden = false;
  }

  draw(seen) {
    $("closed").hidden = true;
    $("facts").hidden = $("log").hidden = false;
    $("turn").textContent = `${seen.turn}, after ${lengthText(seen.at_ms)}`;
    $("queues").replaceChildren(...seen.queues.map(queue));
    $("tools").textContent = seen.tools === null ? "none" : seen.tools.map((tool) => `${tool.name}, running for ${(tool.running_ms / 1000).toFixed(1)} s`).join("; ") || "none runs";
    $("cost").textContent = seen.cost === null ? "no provider has a price" : costText(seen.cost);
    $("interrupts").textContent = seen.interrupts.map(interruptText).join("; ") || "none";
    log(seen.log.join("\n"));
    if (seen.newest) this.#delay(seen.newest, seen.budgets);
  }

  #delay(turn, budgets) {
    const known = JSON.stringify(turn);
    if (this.#turns.get(turn.turn) === known) return;
    this.#turns.set(turn.turn, known);
    const bound = budgets?.ttfa_ms ?? null;
    $("delay").textContent = `${msText(turn.ttfa_ms)} in turn ${turn.turn}` + (bound === null ? "" : `, budget ${msText(bound)}`) + (turn.over.length ? `. Over: ${turn.over.join("; ")}` : "");
    $("delay").className = turn.over.length ? "notice bad" : "notice";
    const parts = Object.entries(turn.parts_ms);
    $("bar").hidden = false;
    $("bar").setAttribute("aria-label", parts.map(([name, ms]) => `${words(name)} ${msText(ms)}`).join(", "));
    bar($("bar"), parts, Math.max(bound ?? 0, turn.ttfa_ms, 1), bound);
    $("parts").replaceChildren(...parts.map(([name, ms], i) => part(name, ms, i, budgets?.parts_ms[name] ?? null)));
    const earlier = [...this.#turns.values()].map((text) => JSON.parse(text)).slice(-KEPT_TURNS - 1, -1).reverse();
    const most = Math.max(1, ...earlier.map((one) => one.ttfa_ms));
    $("turns").replaceChildren(...earlier.map((one) => turnLine(one, most)));
  }

  // The sessions that run, apart from `own`, and those that were recorded. `secrets` makes a client secret.
  async list(secrets, own, look) {
    const headers = authorized(await secrets());
    const answer = await fetch(at("v1/flowkit/sessions"), { headers });
    if (!answer.ok) return this.nothing((await answer.json()).error.message);
    const { running, recorded } = await answer.json();
    const others = running.filter((one) => one.session !== own);
    this.nothing(others.length + recorded.length ? "" : "No earlier session is recorded.");
    $("sessions").replaceChildren(...others.map((one) => runningLine(one, look)), ...recorded.map((one) => recordedLine(one, secrets)));
  }

  nothing(why) {
    $("none").hidden = !why;
    $("none").textContent = why;
    if (why) $("sessions").replaceChildren();
  }
}

// Follows the newest line, unless the user has scrolled up.
function log(text) {
  const place = $("log"), follows = place.scrollHeight - place.scrollTop - place.clientHeight < 20;
  if (place.textContent === text) return;
  place.textContent = text;
  if (follows) place.scrollTop = place.scrollHeight;
}

function queue({ stage, waiting, max, dropped }) {
  const line = element("span", waiting >= max ? "queue full" : "queue", `${stage} ${waiting}/${max}`);
  if (dropped) line.append(element("span", "bad", ` (${dropped} dropped)`));
  return line;
}

function interruptText(interrupt) {
  const voice = interrupt.speech_to_silence_ms;
  return `in turn ${interrupt.turn}, silent ${msText(interrupt.decision_to_silence_ms)} after the decision` + (voice === null ? "" : `, ${msText(voice)} after the voice`);
}

// With as many digits as `flowkit run` shows.
function moneyText(amount) {
  return amount.toFixed(amount >= 10 ? 2 : amount >= 0.01 ? 4 : 6);
}

function costText({ currency, total, per_minute, stages }) {
  const each = Object.entries(stages).map(([id, stage]) => `${id} ${moneyText(stage.cost)}`);
  return `${moneyText(total)} ${currency}` + (per_minute === null ? "" : `, ${moneyText(per_minute)} a minute`) + (each.length ? ` (${each.join(", ")})` : "");
}

function bar(place, parts, most, bound) {
  const pieces = parts.map(([, ms], i) => {
    const piece = element("i", `part p${i}`);
    piece.style.width = `${(100 * ms) / most}%`;
    return piece;
  });
  if (bound !== null) {
    const mark = element("b", "bound");
    mark.style.left = `${Math.min(100, (100 * bound) / most)}%`;
    pieces.push(mark);
  }
  place.replaceChildren(...pieces);
}

function part(name, ms, i, bound) {
  const line = element("li", bound !== null && ms > bound ? "bad" : "");
  line.append(element("i", `p${i}`), `${words(name)} ${Math.round(ms)}` + (bound === null ? "" : ` of ${Math.round(bound)}`));
  return line;
}

function turnLine(turn, most) {
  const line = element("li", "", `turn ${turn.turn}, ${msText(turn.ttfa_ms)}`);
  const drawn = element("div", "bar small");
  bar(drawn, Object.entries(turn.parts_ms), most, null);
  line.append(drawn);
  return line;
}

function runningLine({ session, for_ms }, look) {
  const line = element("li", "", `${session}, running for ${lengthText(for_ms)} `);
  const button = element("button", "", "Look inside");
  button.addEventListener("click", () => look(session));
  line.append(button);
  return line;
}

// A form, because a link could not carry the secret but in its address, where others would read it.
function recordedLine({ recording, began, lasted_ms, words, turns }, secrets) {
  const form = Object.assign(element("form"), { method: "post", action: at("v1/flowkit/report"), target: "_blank" });
  const [which, secret] = ["recording", "secret"].map((name) => Object.assign(element("input"), { type: "hidden", name }));
  which.value = recording;
  const when = new Date(began * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const button = element("button", "", "Report");
  button.setAttribute("aria-label", `report of the session of ${when}`);
  const about = element("span", "", `${when}, ${lengthText(lasted_ms)}`);
  if (turns !== null) about.append(turns ? `, ${turns} ${turns === 1 ? "turn" : "turns"}` : ", nothing was said");
  if (words) about.append(element("q", "", words));
  form.append(which, secret, about, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    secret.value = await secrets();
    form.submit();
  });
  const line = element("li");
  line.append(form);
  return line;
}
