// Several runs: one metric overlaid with the mean of each group, the groups' numbers (groups.js), what differs, and how
// parameters and results hang together (parameters.js, map.js, heat.js).
import { h, json, curves, facts, number, plain, color, remember, select, wide, Refusal } from "./util.js";
import { Chart } from "./chart.js";
import { label, groupTable, versusTable, differences } from "./groups.js";
import { parallel, scatter } from "./parameters.js";
import { parameterMap } from "./map.js";
import { HeatMap } from "./heat.js";
import { Axis, controls, smoothing, zoomOf, zoomText } from "./axis.js";

class Compare {
  constructor(at) {
    this.query = at.query;
    this.charts = [];
    this.pane = h("div");
    this.tools = h("div", { className: "tools" });
    this.title = h("h1");
    this.node = h("section", { className: "compare" }, this.title, this.tools, this.pane);
  }

  async load() {
    const { runs, by } = this.query;
    const table = await json("runs", { children: "1", facts: "1", runs });
    this.columns = table.columns;
    this.rows = table.rows;
    this.better = Object.fromEntries(table.keys.map((key, i) => [key, table.better[i]]));
    this.ids = this.rows.map((row) => row[0]).sort((a, b) => a - b);
    if (!this.ids.length) throw new Refusal("None of these runs is in the store.");
    this.compared = await json("compare", { runs: this.ids.join(","), by, versus: this.query.versus });
    this.groups = this.compared.groups;
    this.usual = this.groups.length > 12 ? "runs" : "mean and runs";
    this.groupOf = new Map(this.groups.flatMap((group, i) => group.runs.map((id) => [id, i])));
    // A repetition of a seed is not counted, but drawn in its group's colour.
    for (const row of this.rows.filter(([id]) => !this.groupOf.has(id))) {
      const same = ([column, value]) => value === (this.value(row, `params.${column}`) ?? this.value(row, column));
      this.groupOf.set(row[0], this.groups.findIndex((group) => Object.entries(group.label).every(same)));
    }
    this.keys = table.keys.filter((key) => !key.startsWith("result/") && !key.startsWith("knob/")).concat(table.keys.filter((key) => key.startsWith("knob/")));
    const asked = (this.query.key || "").split(",").filter((key) => this.keys.includes(key));
    this.shown = asked.length ? asked : [["val/acc", "val/loss", "train/loss"].find((key) => this.keys.includes(key)) || this.keys[0]].filter(Boolean);
    this.borders = this.ids.length <= 40 ? await json("stages", { runs: this.ids.join(",") }) : [];
    await this.setAxis();
    this.render();
  }

  async setAxis() {
    this.axis = this.query.axis ? await Axis.of(this.query.axis, this.ids) : null;
    this.bands = new Map();
  }

  column(id) { return this.columns.indexOf(id); }
  value(row, id) { return row[this.column(id)]; }

  set(part) {
    Object.assign(this.query, part);
    remember(part);
  }

  varying() {
    return this.columns.filter((id, i) => id.startsWith("params.") && new Set(this.rows.map((row) => JSON.stringify(row[i]))).size > 1);
  }

  // Those that differ between the runs; all of them where none does.
  metrics() {
    const all = this.columns.filter((id) => /^(last|best):/.test(id));
    const differ = all.filter((id) => new Set(this.rows.map((row) => this.value(row, id))).size > 1);
    return differ.length ? differ : all;
  }

  render() {
    this.title.textContent = `${this.ids.length} run${this.ids.length === 1 ? "" : "s"} in ${this.groups.length} group${this.groups.length === 1 ? "" : "s"}`;
    const params = this.columns.filter((id) => id.startsWith("params.")).map((id) => id.slice(7));
    this.tools.replaceChildren(...[
      this.shown.map((key, i) => [select(i ? "and " : "metrics ", this.keys, key, (other) => this.show(this.shown.map((k, j) => (j === i ? other : k)))),
        this.shown.length > 1 ? h("button", { className: "plain", title: `Without ${key}`, onclick: () => this.show(this.shown.filter((k) => k !== key)) }, "×") : null]),
      this.shown.length < this.keys.length ? h("button", { className: "plain add", title: "One more metric", onclick: () =>
        this.show([...this.shown, this.keys.find((key) => !this.shown.includes(key))]) }, "+") : "",
      select("group by ", ["", "name", ...params], this.query.by || "", (by) => { this.set({ by }); this.load(); }),
      select("show ", ["mean and runs", "mean", "runs"], this.query.show || this.usual, (show) => { this.set({ show }); this.drawCharts(); }),
      controls(this.query, async (part) => { this.set(part); if ("axis" in part) await this.setAxis(); this.render(); })].flat(Infinity).filter(Boolean));
    this.chartBox = h("div");
    this.pane.replaceChildren(this.chartBox, this.diffBox = h("div", { className: "differ" }), h("h2", {}, "Groups"), groupTable(this), ...[versusTable(this)].flat(), h("h2", {}, "What differs"), differences(this),
      h("h2", {}, "Parameters and results"), parallel(this), this.scatterBox = h("div"), this.mapBox = h("div"), this.heatBox = h("div", { className: "apart" }));
    this.drawCharts();
    scatter(this);
    this.map();
    this.heat();
    if (this.ids.length === 2) this.diff();
  }

  // Of two runs: where their curves part, what was decided before, and the difference of their code.
  async diff() {
    const d = await json("diff", { a: this.ids[0], b: this.ids[1] });
    const name = (side) => `#${d[side].id}`;
    const before = (side) => (d.before && d.before[side] ? `${name(side)} ${d.before[side].kind} ${d.before[side].name || ""} at step ${number(d.before[side].step)}` : null);
    const told = (value) => (value && typeof value === "object" ? facts(value) : plain(value));
    const pairs = [...(d.params || []), ...(d.data || []), ...(d.environment || [])];
    this.diffBox.replaceChildren(h("h2", {}, `${name("a")} against ${name("b")}`), d.lineage ? h("p", {}, d.lineage.text) : "",
      h("p", {}, d.parts ? `The curves part at step ${number(d.parts.step)} (${d.parts.key}: ${number(d.parts.a)} and ${number(d.parts.b)}).` : d.identical.length ? "All values that both logged are the same." : "There is no step that both logged.",
        d.parts ? h("span", { className: "quiet" }, " Just before: ", [before("a"), before("b")].filter(Boolean).join("; ") || "no decision") : null),
      wide("Settings that differ", h("table", { className: "plain" }, pairs.map((p) => h("tr", {}, h("th", {}, p.key), h("td", {}, told(p.a)), h("td", {}, told(p.b)))))),
      ...(d.sources || []).map((s) => h("details", {}, h("summary", {}, s.path), h("pre", { className: "code", tabIndex: 0 }, (s.diff || "").split("\n").map((line) =>
        h("span", { className: line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "" }, line + "\n"))))));
  }

  show(keys) {
    this.shown = [...new Set(keys)];
    this.set({ key: this.shown.join(",") });
    this.render();
  }

  // Where the stages of the runs begin, in the colour of their group; of many runs the first of each group.
  stageBorders() {
    const few = this.borders.length <= 12, seen = new Set();
    const at = (run, step) => (this.axis ? this.axis.at(run, step) : step);
    return this.borders.flatMap((run) => {
      const group = this.groupOf.get(run.run);
      if (!few && seen.has(group)) return [];
      seen.add(group);
      const begun = run.stages.slice(1).map((stage) => ({ x: at(run.run, stage.from), color: color(group),
        title: `#${run.run}: ${stage.name} from step ${stage.from}` }));
      return run.fork ? [...begun, { x: at(run.run, run.fork.step), color: color(group), fork: true, title: `#${run.run}: ${run.fork.text}` }] : begun;
    });
  }

  drawCharts() {
    this.charts.forEach((chart) => chart.remove());
    const link = new Set(), one = this.shown.length === 1;
    this.charts = this.shown.map((key) => this.makeChart(key, link, one ? 380 : 260));
    const show = this.query.show || this.usual;
    this.chartBox.replaceChildren(h("div", { className: one ? "" : "charts" }, this.charts.map((chart) => chart.node)), h("p", { className: "quiet note" },
      show === "runs" ? "Each line is a run." : "Bold: the mean of a group. Band: its 95 % confidence interval (Student's t over seeds).",
      this.borders.some((run) => run.stages.length > 1) ? " Dashed: where a stage begins." : "", this.borders.some((run) => run.fork) ? " Solid, with a ring: where a run was forked." : ""));
  }

  makeChart(key, link, height) {
    const show = this.query.show || this.usual;
    const chart = new Chart({ title: key, height, link, axis: this.axis, smooth: smoothing(this.query), logX: this.query.logx === "1", log: this.query.log === "1", borders: this.stageBorders(),
      onzoom: (zoom) => {
        this.set({ zoom: zoomText(zoom, this.axis) });
        if (this.heatMap) this.heatMap.draw({ zoom });
      },
      load: async (from, to, columns) => {
        const known = this.bands.get(key);
        const [head, bands] = await Promise.all([
          show === "mean" ? { curves: [] } : curves({ runs: this.ids.join(","), keys: key, from, to, columns }),
          show === "runs" ? null : known || json("bands", { runs: this.ids.join(","), by: this.query.by, key, columns, axis: this.query.axis })]);
        if (bands) this.bands.set(key, bands);
        const single = show === "runs" && this.ids.length <= 12;
        const series = head.curves.map((c) => {
          const group = this.groupOf.get(c.run);
          return { ...c, faint: show !== "runs", color: color(single ? this.ids.indexOf(c.run) : group),
            label: single || show !== "runs" || this.groups.length > 1 ? `#${c.run} ${this.groups[group] ? label(this.groups[group]) : ""}` : `#${c.run}` };
        });
        const means = (bands ? bands.groups : []).map((group, i) => ({ steps: Float64Array.from(group.steps), values: Float64Array.from(group.mean, (v) => (v === null ? NaN : v)),
          low: group.n > 1 ? group.low : null, high: group.n > 1 ? group.high : null, color: color(i), label: `${label(group)} (${group.n})`, width: 2, placed: true })).filter((s) => s.steps.length);
        const range = head.curves.length ? [head.from, head.to] : [d3.min(means, (s) => s.steps[0]) ?? 0, d3.max(means, (s) => s.steps[s.steps.length - 1]) ?? 1];
        return { from: range[0], to: range[1], series: [...series, ...means] };
      } });
    chart.zoom = zoomOf(this.query);
    return chart;
  }

  // A metric over two parameters.
  map() {
    const params = this.varying(), metrics = this.metrics();
    if (params.length < 2 || !metrics.length) return;
    const pick = (name, from) => (from.includes(this.query[name]) ? this.query[name] : from[0]);
    const across = pick("mapx", params), down = pick("mapy", params.filter((id) => id !== across)), metric = pick("mapz", metrics);
    const set = (part) => { this.set(part); this.map(); };
    this.mapBox.replaceChildren(h("div", { className: "tools" }, select("map of ", metrics, metric, (mapz) => set({ mapz })),
      select("across ", params, across, (mapx) => set({ mapx })), select("down ", params.filter((id) => id !== across), down, (mapy) => set({ mapy }))),
    parameterMap({ rows: this.rows.map((row) => [row[0], this.value(row, across), this.value(row, down), this.value(row, metric)]),
      better: this.better[metric.replace(/^(last|best):/, "")], across, down }));
  }

  // A metric over the axis of the charts and a parameter.
  heat() {
    const params = this.varying();
    if (!params.length || !this.keys.length) return;
    const param = params.includes(this.query.heaty) ? this.query.heaty : params[0], key = this.keys.includes(this.query.heatz) ? this.query.heatz : this.shown[0];
    const set = (part) => { this.set(part); this.heat(); };
    if (this.heatMap) this.heatMap.remove();
    const { axis } = this.query, by = param.replace("params.", "");
    this.heatMap = new HeatMap({ key, param: by, axis: axis || "step", better: this.better[key], zoom: zoomOf(this.query), logX: this.query.logx === "1", log: this.query.log === "1",
      load: () => json("bands", { runs: this.ids.join(","), by, key, columns: 400, axis }) });
    this.heatBox.replaceChildren(h("div", { className: "tools" }, select("course of ", this.keys, key, (heatz) => set({ heatz })), select("for each ", params, param, (heaty) => set({ heaty }))),
      this.heatMap.node);
  }
}

export async function compareView(at) {
  const view = new Compare(at);
  await view.load();
  const redraw = () => view.charts.forEach((chart) => chart.draw());
  const log = () => {
    view.set({ log: view.query.log === "1" ? "" : "1" });
    view.drawCharts();
    view.heat();
  };
  addEventListener("theme", redraw);
  return { node: view.node, title: "Compare", keys: { l: log }, stop: () => {
    removeEventListener("theme", redraw);
    view.charts.forEach((chart) => chart.remove());
    if (view.heatMap) view.heatMap.remove();
  } };
}
