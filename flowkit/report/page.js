"use strict";
// Draws the page from the data in it. One Side a session; the selected turn is shared, so that two sessions stay in step.

const DATA = JSON.parse(document.getElementById("data").textContent);
const PART_COLOURS = DATA.parts.map((_, i) => `var(--p${i})`);
const LANE_COLOURS = { user: "var(--user)", vad: "var(--p0)", asr: "var(--p1)", gate: "var(--p8)", llm: "var(--p3)",
  tools: "var(--p4)", chunker: "var(--p5)", tts: "var(--p7)", playback: "var(--agent)" };
const REASON_COLOURS = ["var(--p0)", "var(--p3)", "var(--p5)", "var(--p7)", "var(--p1)", "var(--p6)", "var(--p8)", "var(--p4)"];
const REASONS = [...new Set(DATA.sides.flatMap((s) => s.report.turns.flatMap((t) => t.clauses.map((c) => c.reason))))].sort();

const words = (name) => name.replaceAll("_", " ");
const nouns = (n, one) => (n === 1 ? one : `${one}s`);
const counted = (n, one) => `${n} ${nouns(n, one)}`;
// How a clause is spoken, if not as it is written.
const endingText = (e) => (e.by ? `${e.by} ${e.p.toFixed(2)}: ${e.why}` : e.why);
const spokenNote = (c) => (c.spoken === undefined ? "" : c.spoken.trim() ? ` (spoken: ${c.spoken.trim()})` : " (not spoken)");
const oddsText = (turn) => (turn.odds ? ` (exists in ${Math.round(100 * turn.odds.exists)} % of the worlds, interrupted in ${Math.round(100 * turn.odds.interrupted)} %)` : "");
const msText = (v) => (v === null || v === undefined ? "none" : `${Math.round(v).toLocaleString("en")} ms`);
const short = (text, most) => (text.length <= most ? text : most < 3 ? "" : text.slice(0, most - 1) + "…");

function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

// A notice of several lines, such as one with a stack, shows the first.
function notice(text) {
  const [first, ...rest] = text.split("\n");
  return rest.length ? h("details", { class: "notice" }, h("summary", {}, first), h("pre", {}, rest.join("\n"))) : h("p", { class: "notice" }, text);
}

function table(heads, rows) {
  const cells = (tag, row) => h("tr", {}, ...row.map((cell, i) => h(tag, heads[i].startsWith("#") ? { class: "n" } : {}, cell ?? "")));
  const head = heads.map((name) => name.replace("#", ""));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, cells("th", head)), h("tbody", {}, ...rows.map((r) => cells("td", r)))));
}

function swatches(names, colours) {
  return h("div", { class: "swatches" }, ...names.map((name, i) => h("span", {}, h("i", { style: `background:${colours[i % colours.length]}` }), words(name))));
}

const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// The loudest level of each of `count` stretches between two times.
function buckets(levels, stepMs, t0, t1, count) {
  const out = [];
  for (let i = 0; i < count; i++) {
    const a = t0 + ((t1 - t0) * i) / count, b = t0 + ((t1 - t0) * (i + 1)) / count;
    let most = 0;
    for (let k = Math.floor(a / stepMs); k < Math.max(b / stepMs, Math.floor(a / stepMs) + 1); k++) most = Math.max(most, levels[k] ?? 0);
    out.push({ t: (a + b) / 2, v: most / 255 });
  }
  return out;
}

class Side {
  constructor(data, page) {
    this.data = data;
    this.page = page;
    this.turns = data.report.turns;
    this.user = bytes(data.user);
    this.agent = bytes(data.agent);
    this.element = h("div", { class: "side" });
    this.slots = {};
    this.build();
  }

  build() {
    const { data, slots } = this;
    for (const name of ["timeline", "ttfa", "turn", "queues"]) slots[name] = h("div", { class: "chart" });
    this.element.append(
      this.summary(),
      h("section", { "aria-label": "session" }, h("h2", {}, "Session"), this.player(), slots.timeline, swatches(REASONS, REASON_COLOURS),
        h("p", { class: "notice" }, "Above: the user. Below: the agent. Dots: clauses by the reason of their cut." + (data.audio ? " Click to listen from there." : ""))),
      h("section", { "aria-label": "time to first audio" }, h("h2", {}, "Time to first audio"), slots.ttfa, swatches(DATA.parts, PART_COLOURS)),
      (this.turnSection = h("section", { "aria-label": "turn", "aria-live": "polite" })),
      h("section", { "aria-label": "interrupts" }, h("h2", {}, "Interrupts"), this.interrupts()),
      h("section", { "aria-label": "queues" }, h("h2", {}, "Queues, as a share of their bound"), slots.queues, this.queueTable()),
    );
  }

  summary() {
    const { report, notices, verdicts, name } = this.data;
    const ttfa = report.summary.ttfa_ms;
    const figure = (value, label) => h("li", {}, h("b", {}, String(value)), label);
    const modelled = report.modelled_share ? [figure(`${(100 * report.modelled_share).toFixed(0)} %`, "modelled")] : [];
    const about = report.cost?.estimated ? "about " : "";
    const cost = report.cost ? [figure(`${about}${report.cost.total.toPrecision(3)} ${report.cost.currency}`, "cost")] : [];
    return h("section", { "aria-label": "summary" }, h("h2", {}, `${name} `, h("span", { class: "tag" }, words(report.level))),
      h("ul", { class: "figures" }, figure(msText(ttfa.p50), "first audio, median"), figure(msText(ttfa.p95), "p95"), figure(msText(ttfa.max), "slowest"),
        figure(report.turns.length, nouns(report.turns.length, "turn")), figure(report.interrupts.length, nouns(report.interrupts.length, "interrupt")),
        figure(report.messages.toLocaleString("en"), nouns(report.messages, "message")), ...modelled, ...cost),
      ...verdicts.map((v) => h("p", { class: v.kept ? "notice good" : "notice bad" }, v.text)),
      ...notices.map(notice));
  }

  // -- sound ------------------------------------------------------------------------------------------------------------

  player() {
    if (!this.data.audio) return h("p", { class: "notice" }, "No sound was kept; levels are drawn where they are known.");
    this.audio = h("audio", { controls: true, src: this.data.audio, "aria-label": `sound of ${this.data.name}` });
    this.audio.addEventListener("timeupdate", () => this.movePlayhead());
    this.audio.addEventListener("play", () => { this.page.active = this; });
    const group = `listen-${this.data.name}-${this.page.sides.length}`;
    const choice = (value, label) => h("label", {}, h("input", { type: "radio", name: group, value, checked: value === "both", onchange: () => this.listen(value) }), ` ${label}`);
    return h("div", { class: "row" }, this.audio, h("fieldset", {}, h("legend", {}, "listen to"), choice("both", "both"), choice("user", "user"), choice("agent", "agent")));
  }

  // User left, agent right: each side has a gain of its own, made when it is first asked for.
  listen(which) {
    if (!this.gains) {
      const context = new AudioContext();
      const source = context.createMediaElementSource(this.audio), splitter = context.createChannelSplitter(2);
      source.connect(splitter);
      this.gains = ["user", "agent"].map((_, channel) => {
        const gain = context.createGain();
        splitter.connect(gain, channel);
        gain.connect(context.destination);
        return gain;
      });
      this.context = context;
    }
    this.context.resume();
    ["user", "agent"].forEach((side, i) => { this.gains[i].gain.value = which === "both" || which === side ? 1 : 0; });
  }

  toggle() { if (this.audio) this.audio.paused ? this.audio.play() : this.audio.pause(); }

  seek(ms, play = true) {
    if (!this.audio) return;
    this.audio.currentTime = Math.max(0, ms / 1000);
    if (play) this.audio.play();
    this.movePlayhead();
  }

  movePlayhead() {
    if (!this.playhead) return;
    const x = this.xScale.apply(this.audio.currentTime);
    this.playhead.setAttribute("x1", x);
    this.playhead.setAttribute("x2", x);
  }

  // -- charts -----------------------------------------------------------------------------------------------------------

  draw() {
    const width = Math.max(320, this.slots.timeline.clientWidth || this.element.clientWidth - 40);
    this.drawTimeline(width);
    this.drawTtfa(width);
    this.drawTurn(width);
    this.drawQueues(width);
  }

  put(slot, plot, label) {
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", label);
    this.slots[slot].replaceChildren(plot);
    return plot;
  }

  wave(t0, t1, count, scale = 1) {
    const of = (levels, sign) => buckets(levels, this.data.level_ms, t0, t1, count).map((d) => ({ t: d.t / scale, v: sign * d.v }));
    return [Plot.areaY(of(this.user, 1), { x: "t", y1: 0, y2: "v", fill: "var(--user)" }), Plot.areaY(of(this.agent, -1), { x: "t", y1: 0, y2: "v", fill: "var(--agent)" })];
  }

  drawTimeline(width) {
    const { data } = this, end = Math.max(data.duration, 1000);
    const clauses = this.turns.flatMap((t) => t.clauses.map((c) => ({ t: c.t_ms / 1000, text: `turn ${t.turn}, ${words(c.reason)}: ${c.text.trim()}`, reason: c.reason })));
    const starts = this.turns.map((t, i) => ({ t: data.starts[i] / 1000, turn: t.turn }));
    const gap = (end / 1000 / (width - 40)) * 26;
    let last = -Infinity;
    const labels = starts.filter((s) => s.t - last >= gap && (last = s.t, true));
    const plot = Plot.plot({
      width, height: 200, marginLeft: 12, marginRight: 12, marginTop: 22, marginBottom: 40, style: { background: "none", fontSize: "12px" },
      x: { domain: [0, end / 1000], label: "seconds" }, y: { axis: null, domain: [-1.35, 1] },
      color: { domain: REASONS, range: REASON_COLOURS.slice(0, Math.max(1, REASONS.length)) },
      marks: [
        ...this.wave(0, end, Math.round(width - 24), 1000),
        Plot.ruleY([0], { stroke: "var(--line)" }),
        Plot.ruleX(starts, { x: "t", stroke: "var(--line)" }),
        Plot.text(labels, { x: "t", frameAnchor: "top", dy: -12, text: "turn", fill: (d) => (d.turn === this.page.turn ? "var(--accent)" : "var(--soft)"), fontWeight: (d) => (d.turn === this.page.turn ? "bold" : "normal") }),
        Plot.ruleX(data.report.interrupts, { x: (d) => d.t_ms / 1000, stroke: "var(--bad)", strokeDasharray: "3,2", strokeWidth: 1.5 }),
        Plot.dot(clauses, { x: "t", y: -1.2, fill: "reason", r: 4 }),
        Plot.tip(clauses, Plot.pointerX({ x: "t", y: -1.2, title: "text", maxRadius: 12, fill: "var(--paper)", lineWidth: 24 })),
      ],
    });
    this.put("timeline", plot, `sound of user and agent over ${(end / 1000).toFixed(0)} seconds, with ${clauses.length} clauses and ${data.report.interrupts.length} interrupts`);
    this.xScale = plot.scale("x");
    this.playhead = plot.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "line"));
    for (const [k, v] of Object.entries({ x1: -9, x2: -9, y1: 20, y2: 165, stroke: "var(--ink)", "stroke-width": 1.5, "class": "playhead" })) this.playhead.setAttribute(k, v);
    plot.addEventListener("click", (event) => {
      const box = plot.getBoundingClientRect();
      this.seek(1000 * this.xScale.invert(((event.clientX - box.left) * width) / box.width));
    });
  }

  drawTtfa(width) {
    const { data } = this, spoken = this.turns.filter((t) => t.ttfa_ms !== null);
    if (!spoken.length) return this.slots.ttfa.replaceChildren(h("p", { class: "notice" }, "No turn has made a sound."));
    const parts = spoken.flatMap((t) => DATA.parts.map((part) => ({ turn: t.turn, part, ms: t.parts_ms[part] })));
    const whole = spoken.map((t) => ({ turn: t.turn, ms: t.ttfa_ms, modelled: t.modelled, unsure: Boolean(t.odds), over: data.budget !== null && t.ttfa_ms > data.budget,
      text: `turn ${t.turn}: ${msText(t.ttfa_ms)}${t.modelled ? " (modelled)" : ""}${oddsText(t)}\n` + DATA.parts.filter((p) => t.parts_ms[p] >= 0.5).map((p) => `${words(p)} ${msText(t.parts_ms[p])}`).join("\n") }));
    const most = Math.max(...this.page.sides.flatMap((s) => s.turns.map((t) => t.ttfa_ms ?? 0)), data.budget ?? 0);
    const every = Math.ceil(this.turns.length / Math.max(4, (width - 60) / 28));
    const plot = Plot.plot({
      width, height: 230, marginLeft: 52, marginRight: 12, marginTop: 22, style: { background: "none", fontSize: "12px" },
      x: { type: "band", domain: this.turns.map((t) => t.turn), label: null, ticks: this.turns.map((t) => t.turn).filter((_, i) => i % every === 0), padding: 0.25 },
      y: { domain: [0, most * 1.08], label: "ms", grid: true }, color: { domain: DATA.parts, range: PART_COLOURS },
      marks: [
        Plot.barY(parts, { x: "turn", y: "ms", fill: "part", order: DATA.parts }),
        ...(data.budget === null ? [] : [Plot.ruleY([data.budget], { stroke: "var(--bad)", strokeDasharray: "5,3" }),
          Plot.text([`- - budget ${msText(data.budget)}`], { frameAnchor: "top-right", dy: -14, fill: "var(--bad)" })]),
        Plot.text(whole, { x: "turn", y: "ms", dy: -7, fill: (d) => (d.over ? "var(--bad)" : "var(--accent)"), text: (d) => (d.turn === this.page.turn ? "▼" : d.unsure ? "?" : d.modelled ? "~" : "") }),
        Plot.tip(whole, Plot.pointerX({ x: "turn", y: "ms", title: "text", fill: "var(--paper)" })),
        Plot.ruleY([0], { stroke: "var(--ink)" }),
      ],
    });
    this.put("ttfa", plot, "time to first audio of each turn, in parts: " + whole.map((w) => `turn ${w.turn} ${msText(w.ms)}`).join(", "));
    plot.addEventListener("click", () => { if (plot.value) this.page.select(plot.value.turn); });
  }

  drawTurn(width) {
    const at = this.turns.findIndex((t) => t.turn === this.page.turn), turn = this.turns[at];
    if (!turn) return this.turnSection.replaceChildren(h("h2", {}, `Turn ${this.page.turn}`), h("p", { class: "notice" }, "There is no such turn here."));
    const spans = this.data.spans.filter((s) => s.turn === turn.turn), marks = this.data.marks.filter((m) => m.turn === turn.turn);
    const t0 = Math.min(this.data.starts[at], ...spans.map((s) => s.t0)), t1 = Math.max(t0 + 100, ...spans.map((s) => s.t1));
    const options = this.turns.map((t) => h("option", { value: t.turn, selected: t.turn === turn.turn }, `turn ${t.turn}: ${short(t.user, 40)}`));
    const select = h("select", { "aria-label": "turn", onchange: (e) => this.page.select(Number(e.target.value)) }, ...options);
    this.turnSection.replaceChildren(
      h("h2", {}, `Turn ${turn.turn} `, h("span", { class: "tag" }, words(turn.end_reason))),
      h("div", { class: "row" }, h("button", { class: "previous", onclick: () => this.page.step(-1) }, "← previous"), select, h("button", { class: "next", onclick: () => this.page.step(1) }, "next →"),
        this.audio ? h("button", { onclick: () => this.seek(t0) }, "play this turn") : null),
      h("dl", {}, h("dt", {}, "user"), h("dd", {}, turn.user), h("dt", {}, "agent"), h("dd", {}, ...this.said(turn)),
        h("dt", {}, "first audio"), h("dd", {}, turn.ttfa_ms === null ? "none: this turn made no sound" : `${msText(turn.ttfa_ms)}${turn.modelled ? ", modelled" : ""}${oddsText(turn)}: ` +
          DATA.parts.filter((p) => turn.parts_ms[p] >= 0.5).map((p) => `${words(p)} ${msText(turn.parts_ms[p])}${this.overText(p, turn)}`).join(" + ")),
        ...(turn.user_turn_ended === undefined ? [] : [h("dt", {}, "user's turn ended"), h("dd", {}, endingText(turn.user_turn_ended))]),
        ...(turn.answer_ms === undefined ? [] : [h("dt", {}, "answer"), h("dd", {}, `${msText(turn.answer_ms)}: the first words about what a tool said`)])),
      this.slots.turn,
      ...this.tools(turn),
      table(["#clause", "text", "reason", "#tokens", "#cut at"], turn.clauses.map((c, i) => [`${i + 1}`, c.text.trim() + spokenNote(c) + (c.modelled ? " (sound modelled)" : ""), words(c.reason), `${c.tokens}`, `${(c.t_ms / 1000).toFixed(3)} s`])));
    this.put("turn", this.waterfall(width, turn, at, spans, marks, t0, t1), `waterfall of turn ${turn.turn}`);
  }

  overText(part, turn) {
    const bound = this.data.partBudgets[part];
    return bound !== null && bound !== undefined && turn.parts_ms[part] > bound ? ` (over its budget of ${msText(bound)})` : "";
  }

  said(turn) {
    const heard = turn.heard && turn.agent.startsWith(turn.heard) ? turn.heard : turn.end_reason === "interrupted" ? "" : turn.agent;
    const rest = turn.agent.slice(heard.length);
    return rest ? [heard, h("span", { class: "lost", title: "generated, never heard" }, rest)] : [turn.agent];
  }

  waterfall(width, turn, at, spans, marks, t0, t1) {
    const rel = (t) => t - t0, left = 74, per = (width - left - 12) / (t1 - t0);
    const parts = [];
    let from = this.data.starts[at];
    if (turn.parts_ms) for (const part of DATA.parts) { parts.push({ part, t0: from, t1: from + turn.parts_ms[part] }); from += turn.parts_ms[part]; }
    // Only tools run side by side. There is no room for two labels, so the later one has none.
    const beside = (s) => spans.some((o, i) => i < spans.indexOf(s) && o.lane === s.lane && o.t1 > s.t0);
    const label = (s) => (s.lane === "tools" && beside(s) ? "" : short(s.text, Math.floor(((s.t1 - s.t0) * per - 6) / 6.6)));
    const tips = [...spans.map((s) => ({ x: rel((s.t0 + s.t1) / 2), lane: s.lane, title: `${s.lane} ${msText(s.t1 - s.t0)}${s.fate ? ", " + s.fate : ""}\n${s.text}` })),
      ...marks.map((m) => ({ x: rel(m.t), lane: m.lane, title: `${words(m.what)} at ${(m.t / 1000).toFixed(3)} s\n${m.text}` })),
      ...parts.filter((p) => p.t1 - p.t0 >= 0.5).map((p) => ({ x: rel((p.t0 + p.t1) / 2), lane: "first audio", title: `${words(p.part)} ${msText(p.t1 - p.t0)}` }))];
    const halted = marks.filter((m) => m.what === "interrupt");
    return Plot.plot({
      width, height: 58 + 28 * (this.data.lanes.length + 1), marginLeft: left, marginRight: 12, marginTop: 8, marginBottom: 40, style: { background: "none", fontSize: "12px" },
      x: { domain: [0, t1 - t0], label: "ms", grid: true }, y: { type: "band", domain: ["first audio", ...this.data.lanes], label: null, padding: 0.22 },
      marks: [
        Plot.barX(parts, { x1: (p) => rel(p.t0), x2: (p) => rel(p.t1), y: () => "first audio", fill: (p) => PART_COLOURS[DATA.parts.indexOf(p.part)] }),
        Plot.barX(spans, { x1: (s) => rel(s.t0), x2: (s) => Math.max(rel(s.t1), rel(s.t0) + 1.5 / per), y: "lane", fill: (s) => LANE_COLOURS[s.lane], fillOpacity: (s) => (s.fate || s.lane === "tools" ? 0.6 : 1), insetLeft: 0.5, rx: 2 }),
        Plot.text(spans, { x: (s) => rel(s.t0), y: "lane", text: label, dx: 4, textAnchor: "start", fill: "var(--paper)" }),
        Plot.tickX(marks, { x: (m) => rel(m.t), y: "lane", stroke: "var(--ink)", strokeWidth: 1.5, inset: -2 }),
        Plot.ruleX(halted, { x: (m) => rel(m.t), stroke: "var(--bad)", strokeDasharray: "3,2", strokeWidth: 1.5 }),
        Plot.tip(tips, Plot.pointer({ x: "x", y: "lane", title: "title", fill: "var(--paper)", lineWidth: 26 })),
      ],
    });
  }

  drawQueues(width) {
    const used = this.data.queues.filter((q) => q.steps.length);
    if (!used.length) return this.slots.queues.replaceChildren(h("p", { class: "notice" }, "Nothing ever waited."));
    const end = Math.max(this.data.duration, 1000), count = Math.round((width - 110) / 2), rows = [];
    for (const queue of used) {
      let i = 0, level = 0;
      for (let k = 0; k < count; k++) {
        const until = ((k + 1) * end) / count;
        let most = level;
        while (i < queue.steps.length && queue.steps[i][0] < until) most = Math.max(most, (level = queue.steps[i++][1]));
        rows.push({ stage: queue.stage, t: (k * end) / count / 1000, level: most, share: most / queue.max });
      }
    }
    const most = Math.max(1, ...rows.map((r) => r.share));
    const plot = Plot.plot({
      width, height: 50 + 64 * used.length, marginLeft: 12, marginRight: 84, marginTop: 10, marginBottom: 40, style: { background: "none", fontSize: "12px" },
      x: { domain: [0, end / 1000], label: "seconds" }, y: { axis: null, domain: [0, most * 1.1] }, fy: { axis: "right", domain: used.map((q) => q.stage), label: null, padding: 0.15 },
      marks: [
        Plot.areaY(rows, { x: "t", y: "share", fy: "stage", fill: "var(--p0)", fillOpacity: 0.75, curve: "step-after" }),
        Plot.ruleY(used, { y: 1, fy: "stage", stroke: "var(--bad)", strokeDasharray: "4,3" }), Plot.ruleY(used, { y: 0, fy: "stage", stroke: "var(--line)" }),
        Plot.tip(rows, Plot.pointerX({ x: "t", y: "share", fy: "stage", title: (d) => `${d.stage}: ${d.level} waiting`, fill: "var(--paper)" })),
      ],
    });
    this.put("queues", plot, "levels of the queues: " + used.map((q) => q.stage).join(", "));
  }

  tools(turn) {
    const calls = (this.data.report.tools ?? []).filter((c) => c.turn === turn.turn);
    if (!calls.length) return [];
    return [table(["tool", "arguments", "outcome", "", "#called at", "#took"], calls.map((c) => [c.name, c.arguments, c.status,
      short(c.content, 300) + (c.interrupted ? " (the reply was interrupted meanwhile)" : ""), `${(c.t_ms / 1000).toFixed(3)} s`, msText(c.took_ms)]))];
  }

  // -- tables -----------------------------------------------------------------------------------------------------------

  interrupts() {
    const rows = this.data.report.interrupts.map((i) => [`${i.turn}`, `${(i.t_ms / 1000).toFixed(3)} s`, msText(i.speech_to_silence_ms), msText(i.decision_to_silence_ms),
      ["token", "clause", "frame"].map((one) => counted(i.discarded[`${one}s`], one)).join(", "), `${i.stale_frames}`]);
    return rows.length ? table(["#turn", "#at", "#speech to silence", "#decision to silence", "discarded", "#stale frames"], rows) : h("p", { class: "notice" }, "None.");
  }

  queueTable() {
    return table(["before", "#bound", "when full", "#fullest", "#dropped", "#senders waited"], this.data.report.queues.map((q) => [q.stage, `${q.max}`, words(q.when_full), `${q.high_water}`, `${q.dropped}`, msText(q.blocked_ms)]));
  }
}

class Page {
  constructor() {
    this.sides = [];
    this.turn = this.slowest(DATA.sides[0]);
    for (const data of DATA.sides) this.sides.push(new Side(data, this));
    this.active = this.sides[0];
    document.getElementById("title").textContent = DATA.sides.map((s) => s.name).join("  and  ");
    const main = document.getElementById("main");
    document.getElementById("plays").hidden = !DATA.sides.some((s) => s.audio);
    if (DATA.failure) main.append(this.failure(DATA.failure));
    if (this.sides.length === 2) main.append(this.comparison());
    main.append(h("div", { class: this.sides.length === 2 ? "sides two" : "sides" }, ...this.sides.map((s) => s.element)));
    this.theme();
    this.draw();
    let waiting = 0;
    new ResizeObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => this.resized()); }).observe(main);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  slowest(side) {
    const spoken = side.report.turns.filter((t) => t.ttfa_ms !== null);
    return (spoken.length ? spoken.reduce((a, b) => (b.ttfa_ms > a.ttfa_ms ? b : a)) : side.report.turns[0])?.turn ?? 1;
  }

  draw() { this.width = innerWidth; for (const side of this.sides) side.draw(); }
  resized() { if (this.width !== innerWidth) this.draw(); }

  select(turn) {
    const focused = document.activeElement?.className;
    this.turn = turn;
    this.draw();
    if (focused === "previous" || focused === "next") document.querySelector(`button.${focused}`)?.focus();
  }

  step(by) {
    const all = [...new Set(this.sides.flatMap((s) => s.turns.map((t) => t.turn)))].sort((a, b) => a - b);
    const next = all[all.indexOf(this.turn) + by];
    if (next !== undefined) this.select(next);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select, audio, input")) return;
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "t") [...this.active.turnSection.querySelectorAll("button")].find((b) => b.textContent === "play this turn")?.click();
    else if (event.key === " " && event.target.tagName !== "BUTTON") this.active.toggle();
    else return;
    event.preventDefault();
  }

  theme() {
    const select = document.getElementById("theme");
    select.addEventListener("change", () => {
      if (select.value) document.documentElement.dataset.theme = select.value;
      else delete document.documentElement.dataset.theme;
    });
  }

  comparison() {
    const [a, b] = this.sides, numbers = [...new Set([...a.turns, ...b.turns].map((t) => t.turn))].sort((x, y) => x - y);
    const rows = numbers.map((n) => this.compared(n, a.turns.find((t) => t.turn === n), b.turns.find((t) => t.turn === n)));
    const [then, now] = b.data.report.level === "live" ? ["first", "second"] : ["recorded", "now"];
    return h("section", { "aria-label": "changes" }, h("h2", {}, "Time to first audio, turn by turn"),
      table(["#turn", "user", `#${then}`, `#${now}`, "#change", "clauses"], rows));
  }

  failure({ name, causes, findings }) {
    return h("section", { "aria-label": "failure" }, h("h2", { class: "bad" }, `The test ${name} failed`),
      ...causes.map((cause) => h("p", {}, "Because of ", h("b", {}, cause))), h("ul", {}, ...findings.map((text) => h("li", {}, text))));
  }

  compared(n, a, b) {
    const open = h("button", { onclick: () => this.select(n) }, String(n));
    if (!a || !b) return [open, (a ?? b).user, msText(a?.ttfa_ms), msText(b?.ttfa_ms), "", a ? "only in the first" : "only in the second"];
    const delta = a.ttfa_ms === null || b.ttfa_ms === null ? null : b.ttfa_ms - a.ttfa_ms;
    const said = delta === null ? "" : h("span", { class: delta > 0 ? "bad" : delta < 0 ? "good" : "" }, `${delta > 0 ? "+" : ""}${Math.round(delta)} ms${b.modelled ? ", modelled" : ""}`);
    const old = a.clauses.map((c) => c.text.trim()), now = b.clauses.map((c) => c.text.trim());
    const same = old.join("\n") === now.join("\n");
    const lines = same ? ["unchanged"] : [...old.filter((c) => !now.includes(c)).map((c) => h("div", { class: "lost" }, c)), ...now.filter((c) => !old.includes(c)).map((c) => h("div", {}, c))];
    return [open, b.user, msText(a.ttfa_ms), msText(b.ttfa_ms), said, h("div", {}, ...lines)];
  }
}

window.flowkitReport = new Page();
