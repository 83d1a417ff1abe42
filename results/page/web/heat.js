// A metric over an axis (steps, or what a run had spent) and a parameter: one row a value, coloured by the mean of its runs.
import { h, number, css } from "./util.js";
import { places } from "./map.js";
import { csvRow, saveButtons, standalone } from "./save.js";

const TOP = 8, RIGHT = 14, AXIS = 26, LEGEND = 46, MOST_COLUMNS = 160, BAR = 180;
const tick = (v) => (Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(2) : String(+v.toPrecision(4)));

// The mean of a group at a place: on the line between its points, and nothing before the first or after the last.
function meanAt(group, x) {
  const { steps, mean } = group, i = d3.bisectLeft(steps, x);
  if (i < steps.length && steps[i] === x) return mean[i] ?? NaN;
  if (i === 0 || i === steps.length || mean[i] === null || mean[i - 1] === null) return NaN;
  return mean[i - 1] + (x - steps[i - 1]) / (steps[i] - steps[i - 1]) * (mean[i] - mean[i - 1]);
}

// groups as /api/bands has them; values of the parameter that are too many for a row each share one. Rows: [label, groups], the least below.
function rowsOf(groups, param) {
  const value = (group) => group.label[param], place = places(groups.map(value));
  return place.labels.map((label, i) => ({ label, groups: groups.filter((group) => place.of(value(group)) === i) })).filter((row) => row.groups.length);
}

export class HeatMap {
  // options: key, param, axis: its name, load() -> an answer of /api/bands, zoom: [from, to] or null, log, logX, better: "higher", "lower" or null
  constructor(options) {
    this.options = options;
    this.at = null;  // the cell that is read out: [column, row]
    this.plot = h("div", { className: "heatplot", tabIndex: 0, role: "group", ariaLabel: `${options.key} over ${options.axis} for each ${options.param}; arrow keys read its cells`,
      onkeydown: (event) => this.walk(event), onmousemove: (event) => this.point(event), onmouseleave: () => this.read(null) });
    this.said = h("p", { className: "quiet note", ariaLive: "polite" });
    const svg = () => this.asSvg();
    this.node = h("figure", { className: "chart heat" }, h("figcaption", {}, h("b", {}, `${options.key} over ${options.axis}, for each ${options.param}`),
      saveButtons({ name: `${options.key} over ${options.param}`, ready: () => this.svg, width: () => this.width, height: () => this.height, svg, csv: () => this.asCsv() })), this.plot, this.said);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.plot);
    // All points of all runs are read for it: asked for once somebody looks.
    this.seen = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.load());
    this.seen.observe(this.node);
  }

  async load() {
    this.seen.disconnect();
    try {
      const answer = await this.options.load();
      this.groups = answer.groups.filter((group) => group.steps.length);
      this.rows = rowsOf(this.groups, this.options.param);
      this.draw();
    } catch (error) {
      this.said.textContent = error.message;
    }
  }

  // part: of the options, new
  draw(part = {}) {
    Object.assign(this.options, part);
    this.width = this.plot.clientWidth;
    if (!this.width || !this.groups) return;
    if (!this.rows.length) return this.plot.replaceChildren("No run has logged it.");
    const left = Math.min(Math.max(48, 7 * d3.max(this.rows, (row) => row.label.length) + 14), 0.3 * this.width), right = this.width - RIGHT;
    const tall = Math.max(14, Math.min(34, 240 / this.rows.length)), bottom = TOP + tall * this.rows.length;
    Object.assign(this, { left, right, tall, bottom, height: bottom + AXIS + LEGEND });
    this.scales();
    this.cells = this.rows.map((row) => this.columns.map((x) => this.mean(row, x)));
    this.colors();
    this.svg = d3.create("svg").attr("viewBox", `0 0 ${this.width} ${this.height}`).attr("width", this.width).attr("height", this.height);
    this.drawCells();
    this.drawAxes();
    this.drawLegend();
    this.plot.replaceChildren(this.svg.node());
    this.read(null);
  }

  scales() {
    const whole = [d3.min(this.groups, (g) => g.steps[0]), d3.max(this.groups, (g) => g.steps[g.steps.length - 1])];
    let [from, to] = this.options.zoom || whole;
    const least = d3.min(this.groups, (g) => g.steps.find((step) => step > 0));
    if (this.options.logX) from = Math.max(from, least ?? 1);
    if (!(to > from)) to = from + 1;
    this.x = (this.options.logX ? d3.scaleLog() : d3.scaleLinear()).domain([from, to]).range([this.left, this.right]);
    const count = Math.max(2, Math.min(MOST_COLUMNS, Math.floor((this.right - this.left) / 4)));
    this.wide = (this.right - this.left) / count;
    this.columns = d3.range(count).map((i) => this.x.invert(this.left + (i + 0.5) * this.wide));
  }

  // Over the runs of a row: each group counts as often as it has runs.
  mean(row, x) {
    let sum = 0, n = 0;
    for (const group of row.groups) {
      const mean = meanAt(group, x);
      if (Number.isFinite(mean)) [sum, n] = [sum + group.n * mean, n + group.n];
    }
    return n ? { value: sum / n, n } : null;
  }

  colors() {
    const values = this.cells.flat().filter((cell) => cell && (!this.options.log || cell.value > 0)).map((cell) => cell.value);
    let [low, high] = values.length ? d3.extent(values) : [0, 1];
    if (!(high > low)) [low, high] = this.options.log ? [low / 2, low * 2] : [low - Math.abs(low || 1) / 10, low + Math.abs(low || 1) / 10];
    this.range = [low, high];
    this.share = (this.options.log ? d3.scaleLog() : d3.scaleLinear()).domain(this.range).range([0, 1]);
    this.best = !this.options.better || !values.length ? null : this.options.better === "lower" ? d3.min(values) : d3.max(values);
  }

  color(value) {
    const share = this.share(value);
    return Number.isFinite(share) ? d3.interpolateViridis(share) : null;
  }

  top(j) { return this.bottom - (j + 1) * this.tall; }

  drawCells() {
    const g = this.svg.append("g").attr("shape-rendering", "crispEdges");
    this.cells.forEach((row, j) => row.forEach((cell, i) => {
      const color = cell && this.color(cell.value);
      // Half a pixel more, so that no gap shows between neighbours.
      if (color) g.append("rect").attr("x", this.left + i * this.wide).attr("y", this.top(j)).attr("width", this.wide + 0.5).attr("height", this.tall - 1).attr("fill", color);
    }));
    if (this.best === null) return;
    const j = this.cells.findIndex((row) => row.some((cell) => cell && cell.value === this.best)), i = this.cells[j].findIndex((cell) => cell && cell.value === this.best);
    const ring = this.svg.append("circle").attr("class", "best").attr("cx", this.left + (i + 0.5) * this.wide).attr("cy", this.top(j) + (this.tall - 1) / 2).attr("r", 5);
    ring.append("title").text(`best: ${number(this.best)}`);
  }

  drawAxes() {
    const names = this.svg.append("g").attr("class", "axis"), most = Math.floor((this.left - 12) / 6.5);
    this.rows.forEach((row, j) => names.append("text").attr("x", this.left - 8).attr("y", this.top(j) + this.tall / 2).attr("dy", "0.32em").attr("text-anchor", "end")
      .text(row.label.length > most ? `${row.label.slice(0, most - 1)}…` : row.label).append("title").text(row.label));
    this.svg.append("g").attr("class", "axis x").attr("transform", `translate(0,${this.bottom})`).call(d3.axisBottom(this.x).ticks(Math.max(2, this.width / 90), this.options.logX ? "~s" : undefined)
      .tickSize(4).tickFormat(this.options.logX ? undefined : (v) => (v >= 1e4 ? d3.format("~s")(v) : tick(v))));
    this.svg.append("text").attr("class", "axisname").attr("x", this.right).attr("y", this.bottom + AXIS + 10).attr("text-anchor", "end").text(this.options.axis);
  }

  // What the colours mean: a bar from the least to the greatest, with numbers below.
  drawLegend() {
    const y = this.bottom + AXIS + 12, wide = Math.min(BAR, (this.right - this.left) * 0.7), steps = 60, bar = this.svg.append("g").attr("class", "axis heatlegend");
    for (let i = 0; i < steps; i++) bar.append("rect").attr("x", this.left + i * wide / steps).attr("y", y).attr("width", wide / steps + 0.5).attr("height", 9).attr("fill", d3.interpolateViridis((i + 0.5) / steps));
    const label = (share, anchor, value) => bar.append("text").attr("x", this.left + share * wide).attr("y", y + 22).attr("text-anchor", anchor).text(tick(value));
    label(0, "start", this.range[0]);
    label(0.5, "middle", this.share.invert(0.5));
    label(1, "end", this.range[1]);
  }

  // Reads a cell out and rings it; null: none.
  read(at) {
    this.at = at;
    this.svg && this.svg.selectAll(".reader").remove();
    const usual = `The mean over the runs of each ${this.options.param}${this.best === null ? "" : "; ringed: the best"}.`;
    if (!at || !this.svg) return (this.said.textContent = usual);
    const [i, j] = at, cell = this.cells[j][i], { axis, param, key } = this.options;
    this.svg.append("rect").attr("class", "reader").attr("x", this.left + i * this.wide).attr("y", this.top(j)).attr("width", this.wide).attr("height", this.tall - 1);
    const place = axis === "step" ? Math.round(this.columns[i]) : +this.columns[i].toPrecision(4);
    this.said.textContent = `${axis} ${number(place)}, ${param} ${this.rows[j].label}: ${cell ? `${key} ${number(cell.value)} (${cell.n} run${cell.n === 1 ? "" : "s"})` : "nothing logged"}`;
  }

  point(event) {
    if (!this.svg) return;
    const box = this.svg.node().getBoundingClientRect(), i = Math.floor((event.clientX - box.left - this.left) / this.wide), j = Math.floor((this.bottom - (event.clientY - box.top)) / this.tall);
    const inside = i >= 0 && i < this.columns.length && j >= 0 && j < this.rows.length;
    if (inside ? String([i, j]) !== String(this.at) : this.at) this.read(inside ? [i, j] : null);
  }

  walk(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by || !this.svg) return;
    event.preventDefault();
    event.stopPropagation();
    const [i, j] = this.at ? [this.at[0] + by[0], this.at[1] + by[1]] : [0, 0];
    this.read([Math.max(0, Math.min(this.columns.length - 1, i)), Math.max(0, Math.min(this.rows.length - 1, j))]);
  }

  asSvg() {
    const out = this.svg.node().cloneNode(true), style = `text { font: 11px sans-serif; fill: ${css("--ink")}; } .domain { display: none; } .tick line { stroke: ${css("--line")}; }
      .best { fill: none; stroke: #fff; stroke-width: 2; } .reader { display: none; }`;
    out.prepend(d3.create("svg:rect").attr("width", "100%").attr("height", "100%").attr("fill", css("--card")).node());
    return standalone(out, style);
  }

  asCsv() {
    const rows = [[this.options.param, this.options.axis, this.options.key, "runs"]];
    this.cells.forEach((row, j) => row.forEach((cell, i) => cell && rows.push([this.rows[j].label, this.columns[i], cell.value, cell.n])));
    return rows.map(csvRow).join("\n") + "\n";
  }

  remove() {
    this.observer.disconnect();
    this.seen.disconnect();
  }
}
