// One run: curves with stages and decisions, knobs, script, environment, log.
import { h, json, curves, facts, number, plain, duration, when, status, color, link, remember, again, wide } from "./util.js";
import { Chart } from "./chart.js";
import { lineage, relation } from "./lineage.js";
import { lua } from "./lua.js";
import { Axis, controls, smoothing, zoomOf, zoomText } from "./axis.js";

const TABS = ["curves", "curriculum", "decisions", "script", "log", "environment"];

const stages = (run) => run.stages.map(({ name, from, to }, index) => ({ name, from, to, index }));

// A fork and a resumption lie where the run went on, which is not where they were told.
const marks = (run) => run.events.filter((e) => ["decision", "warning", "health", "error", "edit", "resume"].includes(e.kind) && e.step !== null)
  .map((e) => (e.kind === "resume" && e.detail ? { ...e, step: e.detail.at ?? e.detail.from ?? e.step } : e));

// Metrics that share their last name share a chart: train/loss, val/loss. Knobs have one each, results are not curves.
function families(run) {
  const found = new Map();
  for (const s of run.summaries) {
    if (s.key.startsWith("result/")) continue;
    const family = s.key.startsWith("knob/") ? s.key : s.key.split("/").pop();
    if (!found.has(family)) found.set(family, []);
    found.get(family).push(s);
  }
  const weight = (name) => (name.startsWith("knob/") ? 2 : ["acc", "loss"].includes(name) ? 0 : 1);
  return [...found].sort(([a], [b]) => weight(a) - weight(b) || a.localeCompare(b));
}

function knobIsFlat(summaries) {
  return summaries.every((s) => s.min === s.max);
}

// What each stage came to: value, change since the stage before, and what is forgotten, of each data set that is evaluated.
function stageTable(run) {
  const rows = run.stages, keys = new Set(rows.flatMap((row) => Object.keys(row.values)));
  const sets = [...new Set([...keys].map((key) => key.split("/")[0]))].map((name) => ({ name, key: ["acc", "rmse", "loss"].map((one) => `${name}/${one}`).find((key) => keys.has(key)) }))
    .filter((set) => set.key).sort((a, b) => (b.name === "val") - (a.name === "val"));
  const show = (value) => (value === null || value === undefined ? "–" : number(value)), cell = (text) => h("td", { className: "right" }, text);
  const signed = (value) => (value > 0 ? "+" : "") + show(value), head = (text, title) => h("th", { className: "right", title: title || "" }, text);
  const line = (row) => h("tr", {}, h("td", {}, row.name + (row.visit > 1 ? `, visit ${row.visit}` : "")), [row.rows, row.steps, row.flops, row.loss].map((v) => cell(show(v))),
    sets.map(({ name, key }) => [show(row.values[key]), signed(row.change[key]), show(row.values[`${name}/forgotten`])].map(cell)));
  const teacher = rows.length ? rows[rows.length - 1].teacher : {};
  return wide("Stages", h("table", { className: "plain stages" }, h("thead", {}, h("tr", {}, h("th", {}, "stage"), ["rows", "steps", "FLOPs"].map((one) => head(one)), head("loss", "on the stage's own rows"),
    sets.map(({ key }) => [head(key), head("change", "since the stage before"), head("forgotten", "right at some evaluation, wrong at the stage's end")]))),
  h("tbody", {}, rows.map(line), Object.keys(teacher).length ? h("tr", { className: "quiet" }, h("td", {}, "teacher"), [0, 0, 0, 0].map(() => cell("–")),
    sets.map(({ name, key }) => [key.endsWith("/acc") ? show(teacher[name]) : "–", "–", "–"].map(cell))) : "")));
}

class Run {
  constructor(run, at) {
    this.run = run;
    this.tab = TABS.includes(at.query.tab) ? at.query.tab : "curves";
    this.query = at.query;
    this.zoom = zoomOf(at.query);
    this.charts = [];
    this.pane = h("div", { className: "pane" });
    this.top = h("div");
    this.family = h("div");
    this.tabs = h("nav", { className: "tabs" }, TABS.map((tab) => h("button", { type: "button", onclick: () => this.open(tab) }, tab)));
    this.node = h("section", { className: "run" }, this.top, this.family, this.tabs, this.pane);
    this.header();
    this.drawFamily();
    this.open(this.tab);
  }

  async drawFamily() {
    this.family.replaceChildren(await lineage(this.run));
  }

  header() {
    const { run } = this;
    const results = run.summaries.filter((s) => s.key.startsWith("result/"));
    const best = run.summaries.filter((s) => ["val/acc", "val/loss"].includes(s.key));
    const tile = (name, value, note) => h("div", { className: "tile" }, h("span", { className: "quiet" }, name), h("b", {}, value), note ? h("small", { className: "quiet" }, note) : null);
    const seconds = run.seconds ?? (run.status === "running" ? (Date.now() - Date.parse(run.started)) / 1000 : null);
    this.top.replaceChildren(
      h("h1", {}, run.name, " ", h("span", { className: "quiet" }, `#${run.id}`), " ", status(run.status)),
      h("p", { className: "quiet" }, [run.seed !== null ? `seed ${run.seed}` : null, seconds !== null ? duration(seconds) : null, run.progress ? `step ${number(run.progress.step)}` : null,
        `started ${when(run.started)} UTC`, run.device, run.uid.slice(0, 8)].filter(Boolean).join("  ·  "),
      relation(run),
      run.children.map((child) => [" · ", h("a", { href: `#/run/${child.id}` }, `${child.kind} #${child.id}`)])),
      Object.keys(run.tags || {}).length ? h("p", { className: "params" }, Object.entries(run.tags).map(([name, value]) =>
        h("span", {}, h("i", {}, name), value ? " " : "", value ? h("b", {}, value) : ""))) : "",
      run.error ? h("p", { className: "error" }, run.error) : "",
      h("div", { className: "params" }, Object.entries(run.params).map(([key, value]) => h("span", {}, h("i", {}, key), " ", h("b", {}, plain(value))))),
      h("div", { className: "tiles" },
        best.filter((s) => s.better).map((s) => tile(`${s.key} best`, number(s.better === "lower" ? s.min : s.max), `step ${number(s.better === "lower" ? s.argmin : s.argmax)} · last ${number(s.last)}`)),
        results.map((s) => tile(s.key.slice(7), number(s.last)))));
  }

  open(tab) {
    this.tab = tab;
    remember({ tab: tab === "curves" ? "" : tab });
    this.charts.forEach((chart) => chart.remove());
    this.charts = [];
    this.opened = Symbol();
    [...this.tabs.children].forEach((button, i) => button.classList.toggle("on", TABS[i] === tab));
    this[tab]();
  }

  set(part) {
    Object.assign(this.query, part);
    remember(part);
    this.zoom = zoomOf(this.query);
    this.open(this.tab);
  }

  // What all charts of a view share. Stages and decisions lie on the axis too.
  async shared() {
    const axis = this.query.axis ? await Axis.of(this.query.axis, [this.run.id]) : null, place = (step) => axis.at(this.run.id, step);
    const on = (list, ...parts) => (axis ? list.map((one) => ({ ...one, was: one.step, ...Object.fromEntries(parts.map((part) => [part, place(one[part])])) }))
      .filter((one) => !Number.isNaN(one[parts[0]])).map((one) => ("to" in one && Number.isNaN(one.to) ? { ...one, to: Infinity } : one)) : list);
    return { axis, stages: on(stages(this.run), "from", "to"), marks: on(marks(this.run), "step"), link: new Set(),
      smooth: smoothing(this.query), logX: this.query.logx === "1", log: this.query.log === "1",
      onzoom: (zoom) => { this.query.zoom = zoomText(zoom, axis); remember({ zoom: this.query.zoom }); } };
  }

  chart(shared, family, keys, height) {
    const knob = keys.every((key) => key.startsWith("knob/"));  // a setting has no noise
    const title = keys.length > 1 || knob ? family : keys[0];  // one line has no legend that would say whose it is
    const chart = new Chart({ ...shared, smooth: knob ? 0 : shared.smooth, title, height, load: async (from, to, columns) => {
      const head = await curves({ runs: this.run.id, keys: keys.join(","), from, to, columns });
      return { ...head, series: head.curves.map((c) => ({ ...c, label: c.key, color: color(keys.indexOf(c.key)) })) };
    } });
    chart.keys = keys;
    chart.zoom = this.zoom;
    this.charts.push(chart);
    return chart.node;
  }

  async curves() {
    const mine = this.opened, shared = await this.shared();
    if (mine !== this.opened) return;
    const make = ([family, summaries], height) => this.chart(shared, family, summaries.map((s) => s.key), height);
    this.drawCurves(make);
  }

  // The run's whole curriculum over one axis: its stages, how it did, every knob that moved, what was decided and why.
  async curriculum() {
    const mine = this.opened, shared = await this.shared(), all = families(this.run);
    if (mine !== this.opened) return;
    const moving = all.filter(([name, s]) => name.startsWith("knob/") && !knobIsFlat(s));
    const told = all.filter(([name]) => ["acc", "loss"].includes(name)).slice(0, 1).concat(all.filter(([name]) => name === "agreement"));
    const point = (mark) => this.charts.forEach((chart) => chart.point(mark.step)), leave = () => this.charts.forEach((chart) => chart.leave());
    const decided = shared.marks, made = decided.length || stages(this.run).length || moving.length;
    this.pane.replaceChildren(h("div", { className: "tools" }, controls(this.query, (part) => this.set(part))),
      made ? "" : h("p", { className: "quiet" }, "This run has no stages, no decisions, and no setting that moves."),
      this.run.stages.length > 1 ? stageTable(this.run) : "",
      h("div", { className: "stack" }, told.map(([name, s]) => this.chart(shared, name, s.map((one) => one.key), 210)),
        moving.map(([name, s]) => this.chart(shared, name.slice(5), s.map((one) => one.key), 92))),
      h("ol", { className: "decided" }, decided.map((m) => h("li", { tabIndex: 0, onmouseenter: () => point(m), onfocus: () => point(m), onmouseleave: leave, onblur: leave },
        h("span", { className: "quiet" }, `step ${number(m.was ?? m.step)}`), " ", h("span", { className: `kind ${m.kind}` }, m.kind), " ", h("b", {}, m.name || ""), " ",
        m.detail && typeof m.detail === "object" ? facts(m.detail) : String(m.detail ?? "")))));
  }

  drawCurves(make) {
    const all = families(this.run);
    const knobs = all.filter(([name]) => name.startsWith("knob/"));
    const moving = knobs.filter(([, s]) => !knobIsFlat(s)), flat = knobs.filter(([, s]) => knobIsFlat(s));
    const values = all.filter(([name]) => !name.startsWith("knob/"));
    const single = (s) => s.count === 1 && this.run.status !== "running";  // no curve: a number
    const metrics = values.map(([name, s]) => [name, s.filter((one) => !single(one))]).filter(([, s]) => s.length);
    const once = values.flatMap(([, s]) => s).filter(single);
    this.pane.replaceChildren(
      metrics.length ? h("div", { className: "tools" }, controls(this.query, (part) => this.set(part))) : "",
      metrics.length ? h("div", { className: "charts" }, metrics.map((f) => make(f, 230))) : once.length ? "" : h("p", { className: "quiet" }, "No metrics yet."),
      once.length ? h("p", { className: "params" }, once.map((s) => h("span", {}, h("i", {}, s.key), " ", h("b", {}, number(s.last)), h("i", {}, ` at step ${number(s.last_step)}`)))) : "",
      knobs.length ? h("h2", {}, "Knobs") : "",
      flat.length ? h("p", { className: "params" }, flat.map(([name, s]) => h("span", {}, h("i", {}, name.slice(5)), " ", h("b", {}, plain(s[0].last)), " throughout"))) : "",
      h("div", { className: "charts small" }, moving.map((f) => make(f, 150))));
  }

  decisions() {
    const kinds = [...new Set(this.run.events.map((e) => e.kind))];
    // Each best value is an event too; there are so many that they hide the decisions.
    const rows = (kind) => this.run.events.filter((e) => (kind ? e.kind === kind : e.kind !== "best" && e.kind !== "spread"));
    const body = h("tbody");
    const fill = (kind) => body.replaceChildren(...rows(kind).map((e) => h("tr", {}, h("td", { className: "right" }, e.step === null ? "–" : number(e.step)),
      h("td", {}, h("span", { className: `kind ${e.kind}` }, e.kind)), h("td", {}, e.name || ""),
      h("td", { className: "detail" }, e.detail && typeof e.detail === "object" ? facts(e.detail) : String(e.detail ?? "")))));
    fill("");
    this.pane.replaceChildren(h("p", {}, ["", ...kinds].map((kind) => h("button", { type: "button", onclick: () => fill(kind) }, kind ? `${kind} ${rows(kind).length}` : kinds.includes("spread") ? "all but best and spread" : kinds.includes("best") ? "all but best" : "all")).flatMap((b) => [b, " "])),
      h("table", { className: "plain" }, h("thead", {}, h("tr", {}, h("th", { className: "right" }, "step"), h("th", {}, "kind"), h("th", {}, "name"), h("th", {}, "numbers"))), body));
  }

  async script() {
    const box = h("div");
    const open = async (source) => {
      const { text } = await json("source", { sha256: source.sha256 });
      box.replaceChildren(h("pre", { className: "code", tabIndex: 0 }, ...lua(text)));
    };
    this.pane.replaceChildren(h("p", {}, this.run.sources.map((s) => h("button", { type: "button", title: s.path, onclick: () => open(s) }, s.path.split("/").pop())).flatMap((b) => [b, " "])), box);
    if (this.run.sources.length) await open(this.run.sources.find((s) => s.path === this.run.script) || this.run.sources[0]);
    else box.replaceChildren(h("p", { className: "quiet" }, "The script was not kept."));
  }

  async log() {
    const log = this.logText = h("pre", { className: "log", tabIndex: 0 });
    this.pane.replaceChildren(log);
    this.logNext = undefined;
    await this.moreLog();
    log.scrollTop = log.scrollHeight;
  }

  async moreLog() {
    const more = await json("log", { run: this.run.id, from: this.logNext });
    this.logNext = more.next;
    for (const line of more.text.split("\n")) {
      if (line) this.logText.append(h("span", { className: /^\S+ (warning|error)/.test(line) ? "warn" : "" }, line + "\n"));
    }
    if (!this.logText.childNodes.length) this.logText.textContent = "";
  }

  environment() {
    const { run } = this;
    const facts = { uid: run.uid, "configuration": run.config_hash, script: run.script, command: run.command, folder: run.folder, host: run.host, device: run.device,
      threads: run.threads, "git commit": run.git_commit && run.git_commit + (run.git_dirty ? " with uncommitted changes" : ""), ended: run.ended, ...(run.versions || {}),
      ...(run.progress ? { epochs: number(run.progress.epoch), samples: number(run.progress.samples), FLOPs: number(run.progress.flops) } : {}) };
    this.pane.replaceChildren(h("table", { className: "plain facts" }, Object.entries(facts).filter(([, v]) => v !== null && v !== undefined && v !== "")
      .map(([key, value]) => h("tr", {}, h("th", {}, key), h("td", {}, String(value))))),
    run.artifacts.length ? h("h2", {}, "Files") : "",
    h("table", { className: "plain" }, run.artifacts.map((a) => h("tr", {}, h("td", {}, a.kind),
      h("td", {}, h("a", { href: `/api/artifact?run=${run.id}&path=${encodeURIComponent(a.path)}` }, a.path)), h("td", { className: "right" }, number(a.bytes))))));
  }

  async poll() {
    if (this.run.status !== "running") return;
    const after = Math.max(-1, ...this.run.events.map((e) => e.id));
    const news = await json("run", { run: this.run.id, event: after });
    news.events = [...this.run.events, ...news.events];
    const fresh = news.summaries.length !== this.run.summaries.length;
    this.run = news;
    this.header();
    if (this.tab === "log") await this.moreLog();
    if (!["curves", "curriculum"].includes(this.tab)) return;
    if (news.status !== "running") this.drawFamily();
    if (fresh || news.status !== "running") return this.open(this.tab);
    if (this.query.axis) return this.growPlaced();
    for (const chart of this.charts) {
      chart.options.stages = stages(news);
      chart.options.marks = marks(news);
    }
    await this.grow(this.charts.filter((chart) => chart.range && !chart.zoom));
  }

  // Over another axis than steps the places of what is new have to be asked for too: all again, but seldom.
  async growPlaced() {
    if (this.charts.some((chart) => !chart.loadedAt || performance.now() < chart.loadedAt + 3000 + 20 * chart.took)) return;
    const shared = await this.shared();
    for (const chart of this.charts) {
      Object.assign(chart.options, { axis: shared.axis, stages: shared.stages, marks: shared.marks });
      await chart.refresh();
    }
  }

  // What has been logged since, of all charts in one question; each curve goes on where it ended.
  async grow(charts) {
    const ends = new Map();
    for (const chart of charts) {
      for (const s of chart.series) ends.set(s.key, s.steps[s.steps.length - 1]);
    }
    if (!ends.size) return;
    const more = await curves({ runs: this.run.id, keys: [...ends.keys()].join(","), after: [...ends.values()].join(","), columns: 200 });
    const found = new Map(more.curves.map((c) => [c.key, c]));
    for (const chart of charts) {
      chart.append(chart.series.map((s, index) => [index, found.get(s.key)]), more.to);
      chart.sampled = chart.sampled || more.sampled;
    }
    // Of a run that logs faster than it can be looked at, the server shows glimpses. The whole brings back the extremes
    // between them, and is asked for as seldom as it is expensive.
    const late = charts.filter((chart) => chart.sampled && performance.now() > chart.loadedAt + Math.max(30_000, 200 * chart.took));
    for (const chart of late) await chart.refresh();
  }
}

export async function runView(at) {
  const view = new Run(await json("run", { run: at.id }), at);
  const redraw = () => view.charts.forEach((chart) => chart.draw());
  addEventListener("theme", redraw);
  const stop = again(1, () => view.poll());
  const keys = { l: () => view.set({ log: view.query.log === "1" ? "" : "1" }), j: () => step(1), k: () => step(-1) };
  const step = (by) => json("run", { run: view.run.id + by }).then((run) => (location.hash = link(`run/${run.id}`)), () => {});
  return { node: view.node, title: `${view.run.name} #${view.run.id}`, keys, stop: () => {
    stop();
    removeEventListener("theme", redraw);
    view.charts.forEach((chart) => chart.remove());
  } };
}
