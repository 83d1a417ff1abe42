// Several runs: one metric overlaid with the mean of each group, the groups' numbers, what differs, and how parameters
// and results hang together.
import { h, json, curves, number, plain, meanSd, color, remember, select } from "./util.js";
import { Chart } from "./chart.js";
import { parameterMap } from "./map.js";
import { Axis, controls, smoothing, zoomOf, zoomText } from "./axis.js";

const tick = (v) => (Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(0) : String(+v.toPrecision(4)));
const WAYS = { higher: " ↑", lower: " ↓", null: " ?" };
const label = (group) => Object.values(group.label).map((v) => plain(v)).join(" · ") || "all";

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
    this.title.textContent = `${this.ids.length} runs in ${this.groups.length} group${this.groups.length === 1 ? "" : "s"}`;
    const params = this.columns.filter((id) => id.startsWith("params.")).map((id) => id.slice(7));
    this.tools.replaceChildren(...[
      this.shown.map((key, i) => [select(i ? "" : "metrics ", this.keys, key, (other) => this.show(this.shown.map((k, j) => (j === i ? other : k)))),
        this.shown.length > 1 ? h("button", { className: "plain", title: `Without ${key}`, onclick: () => this.show(this.shown.filter((k) => k !== key)) }, "×") : null]),
      this.shown.length < this.keys.length ? h("button", { className: "plain add", title: "One more metric", onclick: () =>
        this.show([...this.shown, this.keys.find((key) => !this.shown.includes(key))]) }, "+") : "",
      select("group by ", ["", "name", ...params], this.query.by || "", (by) => { this.set({ by }); this.load(); }),
      select("show ", ["mean and runs", "mean", "runs"], this.query.show || this.usual, (show) => { this.set({ show }); this.drawCharts(); }),
      controls(this.query, async (part) => { this.set(part); if ("axis" in part) await this.setAxis(); this.render(); })].flat(Infinity).filter(Boolean));
    this.chartBox = h("div");
    this.pane.replaceChildren(this.chartBox, this.diffBox = h("div"), h("h2", {}, "Groups"), this.table(), ...[this.versus()].flat(), h("h2", {}, "What differs"), this.differences(),
      h("h2", {}, "Parameters and results"), this.parallel(), this.scatterBox = h("div"), this.mapBox = h("div"));
    this.drawCharts();
    this.scatter();
    this.map();
    if (this.ids.length === 2) this.diff();
  }

  // Of two runs: where their curves part, what was decided before, and the difference of their code.
  async diff() {
    const d = await json("diff", { a: this.ids[0], b: this.ids[1] });
    const name = (side) => `#${d[side].id}`;
    const before = (side) => (d.before && d.before[side] ? `${name(side)} ${d.before[side].kind} ${d.before[side].name || ""} at step ${number(d.before[side].step)}` : null);
    const pairs = [...(d.params || []), ...(d.data || []), ...(d.environment || [])];
    this.diffBox.replaceChildren(h("h2", {}, `${name("a")} against ${name("b")}`),
      h("p", {}, d.parts ? `The curves part at step ${number(d.parts.step)} (${d.parts.key}: ${number(d.parts.a)} and ${number(d.parts.b)}).` : "The curves are identical.",
        d.parts ? h("span", { className: "quiet" }, " Just before: ", [before("a"), before("b")].filter(Boolean).join("; ") || "no decision") : null),
      h("div", { className: "wide" }, h("table", { className: "plain" }, pairs.map((p) => h("tr", {}, h("th", {}, p.key), h("td", {}, plain(p.a)), h("td", {}, plain(p.b)))))),
      ...(d.sources || []).map((s) => h("details", {}, h("summary", {}, s.path), h("pre", { className: "code" }, (s.diff || "").split("\n").map((line) =>
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
    return this.borders.flatMap((run) => {
      const group = this.groupOf.get(run.run);
      if (!few && seen.has(group)) return [];
      seen.add(group);
      return run.stages.slice(1).map((stage) => ({ x: this.axis ? this.axis.at(run.run, stage.from) : stage.from, color: color(group),
        title: `#${run.run}: ${stage.name} from step ${stage.from}` }));
    });
  }

  drawCharts() {
    this.charts.forEach((chart) => chart.remove());
    const link = new Set(), one = this.shown.length === 1;
    this.charts = this.shown.map((key) => this.makeChart(key, link, one ? 380 : 260));
    const show = this.query.show || this.usual;
    this.chartBox.replaceChildren(h("div", { className: one ? "" : "charts" }, this.charts.map((chart) => chart.node)), h("p", { className: "quiet note" },
      show === "runs" ? "Each line is a run." : "Bold: the mean of a group. Band: its 95 % confidence interval (Student's t over seeds).",
      this.stageBorders().length ? " Dashed: where a stage begins." : ""));
  }

  makeChart(key, link, height) {
    const show = this.query.show || this.usual;
    const chart = new Chart({ title: key, height, link, axis: this.axis, smooth: smoothing(this.query), logX: this.query.logx === "1", log: this.query.log === "1", borders: this.stageBorders(),
      onzoom: (zoom) => this.set({ zoom: zoomText(zoom, this.axis) }),
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

  table() {
    const { by, metrics } = this.compared;
    const cell = (s, total) => h("td", { className: "right" }, typeof s.mean === "number" ? meanSd(s.mean, s.sd) : "–",
      s.n === total ? "" : h("span", { className: "quiet" }, ` ${s.n} of ${total}`));
    const leader = new Map(metrics.map((m) => {
      const means = this.groups.map((g) => g.metrics[m.key].last.mean).filter((v) => typeof v === "number");
      return [m.key, new Set(means).size > 1 ? m.better && (m.better === "lower" ? d3.min(means) : d3.max(means)) : undefined];
    }));
    const curve = (m) => m.better && this.groups.some((g) => g.metrics[m.key].curve);
    return h("div", { className: "wide" }, h("table", { className: "plain" },
      h("thead", {}, h("tr", {}, h("th"), by.map((column) => h("th", {}, column)), h("th", { className: "right" }, "runs"),
        metrics.map((m) => [h("th", { className: "right", title: m.better ? `${m.better} is better${m.source === "said" ? "" : ", by its name"}` : `which way is better? gradus better ${m.key} higher (or lower) says it` }, m.key.replace("result/", "") + (curve(m) ? " last" : ""), WAYS[m.better]),
          curve(m) ? h("th", { className: "right" }, "best") : null]))),
      h("tbody", {}, this.groups.map((g, i) => h("tr", {}, h("td", {}, h("i", { className: "dot", style: { background: color(i) } })),
        by.map((column) => h("td", {}, plain(g.label[column]))), h("td", { className: "right", title: g.lost.map((r) => `run ${r.run}, seed ${r.seed}: ${r.status} ${r.error || ""}`).join("\n") },
          g.n === g.total ? g.n : `${g.n} of ${g.total}`),
        metrics.map((m) => {
          const td = cell(g.metrics[m.key].last, g.total);
          if (g.metrics[m.key].last.mean === leader.get(m.key)) td.classList.add("best");
          return [td, curve(m) ? cell(g.metrics[m.key].best, g.total) : null];
        }))))), h("p", { className: "quiet note" }, "mean ± sample standard deviation over runs; k of n: the others failed, were interrupted, or came to no finite value"));
  }

  // Is a group better than the baseline, by how much, how sure? Over the runs that share a seed.
  versus() {
    if (this.groups.length < 2) return "";
    const column = this.compared.by[0];
    const values = [...new Set(this.groups.map((g) => plain(g.label[column])))].map((v) => `${column}=${v}`);
    const pick = select("against the baseline ", ["", ...values], this.query.versus || "", (versus) => { this.set({ versus }); this.load(); });
    if (!this.compared.versus) return h("p", {}, pick);
    const rows = this.compared.versus.comparisons;
    const p = (v) => (typeof v !== "number" ? "–" : v < 0.001 ? "< 0.001" : v.toFixed(3));
    return [h("p", {}, pick), h("div", { className: "wide" }, h("table", { className: "plain" },
      h("thead", {}, h("tr", {}, ["group", "metric", "", "pairs", "difference", "95 % interval", "p (Holm)", "seeds for 80 % power", ""].map((t, i) => h("th", { className: i > 2 && i < 8 ? "right" : "" }, t)))),
      h("tbody", {}, rows.map((r) => h("tr", {}, h("td", {}, h("i", { className: "dot", style: { background: color(r.group) } }), label(this.groups[r.group])),
        h("td", {}, r.metric.replace("result/", "")), h("td", { className: "quiet" }, r.measure), h("td", { className: "right" }, r.pairs),
        h("td", { className: "right" }, number(r.mean)), h("td", { className: "right" }, typeof r.low === "number" ? `${number(r.low)} … ${number(r.high)}` : "–"),
        h("td", { className: "right" }, p(r.p_holm)), h("td", { className: "right" }, r.seeds_needed ?? "–"),
        h("td", { className: `verdict ${r.verdict}` }, r.verdict, this.lost(r))))))),
    h("p", { className: "quiet note" }, "Paired over shared seeds; interval by Student's t; p corrected over the groups (Holm).")];
  }

  lost(r) {
    const { group, baseline, both } = r.lost, seeds = r.pairs + group + baseline + both;
    return [[group, ""], [baseline, " of the baseline"], [both, " of both"]].filter(([k]) => k)
      .map(([k, whose]) => h("span", { className: "quiet" }, `; ${k} of ${seeds}${whose} lost`));
  }

  differences() {
    const ids = [...this.varying(), ...["config", "git_commit", "device", "name"].filter((id) => new Set(this.rows.map((row) => this.value(row, id))).size > 1)];
    if (!ids.length) return h("p", { className: "quiet" }, "Only the seed.");
    if (this.groups.length > 12) return h("table", { className: "plain" }, ids.map((id) => {
      const values = [...new Set(this.rows.map((row) => this.value(row, id)))].sort((a, b) => (a > b ? 1 : -1));
      return h("tr", {}, h("th", {}, id.replace("params.", "")), h("td", { className: "right" }, values.length),
        h("td", {}, values.length > 6 ? `${plain(values[0])} … ${plain(values[values.length - 1])}` : values.map(plain).join(", ")));
    }));
    return h("div", { className: "wide" }, h("table", { className: "plain" },
      h("thead", {}, h("tr", {}, h("th"), this.groups.map((g, i) => h("th", {}, h("i", { className: "dot", style: { background: color(i) } }), label(g))))),
      h("tbody", {}, ids.map((id) => h("tr", {}, h("th", {}, id.replace("params.", "")), this.groups.map((g) => {
        const members = this.rows.filter((row) => g.runs.includes(row[0]));
        const values = [...new Set(members.map((row) => plain(this.value(row, id)).slice(0, 24)))];
        return h("td", {}, values.slice(0, 4).join(", ") + (values.length > 4 ? ` … (${values.length})` : ""));
      }))))));
  }

  // Axes of parallel coordinates: what differs, then results. Numbers on a line, words at points.
  scale(id, range) {
    const values = this.rows.map((row) => this.value(row, id)).filter((v) => v !== null && v !== undefined);
    if (values.length && values.every((v) => typeof v === "number")) {
      const [low, high] = d3.extent(values);
      const wide = low > 0 && high / low > 50;
      return (wide ? d3.scaleLog() : d3.scaleLinear()).domain(low === high ? [low - 1, high + 1] : [low, high]).range(range);
    }
    return d3.scalePoint([...new Set(values.map(String))].sort(), range).padding(0.3);
  }

  at(scale, value) {
    if (value === null || value === undefined) return undefined;
    return scale(scale.step ? String(value) : value);
  }

  parallel() {
    const axes = [...this.varying(), ...this.metrics()].slice(0, 12);
    if (axes.length < 2) return h("p", { className: "quiet" }, "Too little differs to draw.");
    const height = 300, gap = Math.max(90, Math.min(190, (Math.min(1400, innerWidth) - 180) / (axes.length - 1)));
    const width = gap * (axes.length - 1) + 160, top = 44, bottom = height - 20;
    const svg = d3.create("svg").attr("class", "parallel").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    const scales = axes.map((id) => this.scale(id, [bottom, top]));
    const x = (i) => 80 + gap * i;
    const lines = svg.append("g").selectAll("path").data(this.rows).enter().append("path").attr("class", "run")
      .attr("stroke", (row) => color(this.groupOf.get(row[0])))
      .attr("d", (row) => d3.line().defined(([, y]) => y !== undefined).curve(d3.curveMonotoneX)(axes.map((id, i) => [x(i), this.at(scales[i], this.value(row, id))])))
      .on("click", (row) => (location.hash = `#/run/${row[0]}`));
    lines.append("title").text((row) => `#${row[0]} ${axes.map((id) => `${id.replace("params.", "")} ${number(this.value(row, id))}`).join(", ")}`);
    const brushed = new Map();
    axes.forEach((id, i) => {
      const axis = svg.append("g").attr("class", "axis").attr("transform", `translate(${x(i)},0)`).call(scales[i].step ? d3.axisLeft(scales[i]) : d3.axisLeft(scales[i]).ticks(5).tickFormat(tick));
      axis.append("text").attr("class", "name").attr("y", i % 2 ? 12 : 28).text(id.replace("params.", "").replace(/^last:(result\/)?/, "").replace("best:", "best "));
      axis.append("g").attr("class", "brush").call(d3.brushY().extent([[-9, top], [9, bottom]]).on("brush end", () => {
        d3.event.selection ? brushed.set(i, d3.event.selection) : brushed.delete(i);
        lines.classed("off", (row) => [...brushed].some(([k, [a, b]]) => {
          const y = this.at(scales[k], this.value(row, axes[k]));
          return !(y >= a && y <= b);
        }));
      }));
    });
    return h("div", { className: "wide" }, svg.node(), h("p", { className: "quiet note" }, "Drag along an axis to choose; click on a line to open its run."));
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

  scatter() {
    const params = [...this.varying(), ...this.columns.filter((id) => id.startsWith("params.") && !this.varying().includes(id)), "seed", "seconds"];
    const metrics = this.metrics();
    if (!metrics.length) return;
    const px = this.query.px && this.column(this.query.px) >= 0 ? this.query.px : params[0];
    const py = this.query.py && this.column(this.query.py) >= 0 ? this.query.py : metrics[0];
    const width = Math.min(760, innerWidth - 60), height = 280;
    const svg = d3.create("svg").attr("class", "scatter").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    const x = this.scale(px, [70, width - 20]), y = this.scale(py, [height - 34, 14]);
    if (y.nice) y.nice(5);
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - 34})`).call(x.step ? d3.axisBottom(x) : d3.axisBottom(x).ticks(6).tickFormat(tick));
    svg.append("g").attr("class", "axis y").attr("transform", "translate(70,0)").call(d3.axisLeft(y).ticks(5).tickSize(-(width - 90)));
    const shown = this.rows.filter((row) => this.at(x, this.value(row, px)) !== undefined && this.at(y, this.value(row, py)) !== undefined);
    svg.append("g").selectAll("circle").data(shown).enter().append("circle").attr("r", 5)
      .attr("cx", (row) => this.at(x, this.value(row, px))).attr("cy", (row) => this.at(y, this.value(row, py)))
      .attr("fill", (row) => color(this.groupOf.get(row[0]))).on("click", (row) => (location.hash = `#/run/${row[0]}`))
      .append("title").text((row) => `#${row[0]} ${px.replace("params.", "")} ${number(this.value(row, px))}, ${py} ${number(this.value(row, py))}`);
    this.scatterBox.replaceChildren(h("div", { className: "tools" },
      select("parameter ", params, px, (v) => { this.set({ px: v }); this.scatter(); }),
      select("against ", metrics, py, (v) => { this.set({ py: v }); this.scatter(); })), svg.node());
  }
}

export async function compareView(at) {
  const view = new Compare(at);
  await view.load();
  const redraw = () => view.charts.forEach((chart) => chart.draw());
  addEventListener("theme", redraw);
  return { node: view.node, title: "Compare", keys: { l: () => { view.set({ log: view.query.log === "1" ? "" : "1" }); view.drawCharts(); } }, stop: () => {
    removeEventListener("theme", redraw);
    view.charts.forEach((chart) => chart.remove());
  } };
}
