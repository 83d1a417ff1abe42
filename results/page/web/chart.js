// A line chart on two canvases (curves, hover) under one SVG (axes, stages, decisions). D3 gives scales, axes and the
// brush. It shows what it has at once and asks `load` for the exact points of a new range.
import { h, number, css } from "./util.js";
import { thin } from "./downsample.js";
import { clip, trace, drawLines } from "./chart_lines.js";
import { MARGIN, drawFrame } from "./frame.js";
import { saveButtons } from "./save.js";
import { chartSvg, chartCsv } from "./chart_save.js";

export class Chart {
  // options: title, height, load(from, to, columns) -> {from, to, series: [{label, color, steps, values, low, high,
  // faint, width, run, key}]}, stages: [{name, from, to}], marks: [{step, kind, name, detail}], borders: [{x, color,
  // title, fork}], link: charts that zoom together, log, logX, smooth (axis.js), axis (axis.js; else steps): then series'
  // steps, zoom and range are places on it
  constructor(options) {
    this.options = { height: 220, link: new Set(), ...options };
    this.options.link.add(this);
    this.log = !!options.log;
    this.logX = !!options.logX;
    this.smooth = options.smooth || 0;
    this.series = [];
    this.range = null;
    this.zoom = null;
    this.lines = h("canvas");
    this.over = h("canvas");
    this.back = d3.create("svg").node();
    this.svg = d3.create("svg").node();
    this.tip = h("div", { className: "tip", hidden: true });
    this.legend = h("div", { className: "legend" });
    this.plot = h("div", { className: "plot", style: { height: `${this.options.height}px` } },
      this.back, this.lines, this.over, this.svg, this.tip);
    this.node = h("figure", { className: "chart" },
      h("figcaption", {}, h("b", {}, options.title || ""), this.legend,
        h("button", { className: "plain", title: "Logarithmic (l)", onclick: () => this.toggleLog() }, "log"),
        saveButtons({ name: options.title, ready: () => this.x, width: () => this.width, height: () => this.options.height,
          svg: () => chartSvg(this), csv: () => chartCsv(this) })),
      this.plot);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.plot);
  }

  resize() {
    this.width = this.plot.clientWidth;
    if (!this.width) return;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.lines, this.over]) {
      canvas.width = this.width * ratio;
      canvas.height = this.options.height * ratio;
    }
    for (const svg of [this.back, this.svg]) svg.setAttribute("viewBox", `0 0 ${this.width} ${this.options.height}`);
    if (this.loaded) this.draw();
    else this.refresh();
  }

  get inner() { return Math.max(10, this.width - MARGIN.left - MARGIN.right); }

  async refresh() {
    if (!this.width) return;
    this.loaded = true;
    const asked = this.asked = Symbol(), began = performance.now();
    const { axis } = this.options, zoom = this.zoom && (axis ? axis.steps(this.zoom) : this.zoom);
    const data = await this.options.load(zoom && Math.floor(zoom[0]), zoom && Math.ceil(zoom[1]), Math.round(this.inner));
    if (axis) axis.place(data);
    if (asked !== this.asked) return;  // the reader has zoomed on
    this.loadedAt = performance.now();
    this.took = this.loadedAt - began;
    this.sampled = false;
    this.series = data.series;
    this.drawLegend();
    this.cover(data.from, data.to);
  }

  // What the charts of a view cover together, so that they lie along one axis.
  get whole() {
    const ranges = [...new Set([...this.options.link, this])].map((chart) => chart.range).filter(Boolean);
    return ranges.length ? [Math.min(...ranges.map((r) => r[0])), Math.max(...ranges.map((r) => r[1]))] : null;
  }

  cover(from, to) {
    const before = this.whole;
    this.range = [from, to];
    const [low, high] = this.whole;
    if (!before || before[0] !== low || before[1] !== high) this.options.link.forEach((chart) => chart.draw());
    else this.draw();
  }

  // New points at the end of curves that grow, without asking for the old ones again.
  append(more, to) {
    for (const [index, curve] of more) {
      const series = this.series[index];
      if (!series || !curve || !curve.steps.length) continue;
      for (const part of ["steps", "values"]) {
        const joined = new Float64Array(series[part].length + curve[part].length);
        joined.set(series[part]);
        joined.set(curve[part], series[part].length);
        series[part] = joined;
      }
      if (series.steps.length > 8 * this.inner) Object.assign(series, thin(series.steps, series.values, Math.round(this.inner)));
    }
    this.cover(this.range ? this.range[0] : 0, Math.max(this.range ? this.range[1] : 0, to));
  }

  setZoom(zoom) {
    for (const chart of this.options.link) {
      chart.zoom = zoom;
      chart.draw();
      chart.refresh();
    }
    if (this.options.onzoom) this.options.onzoom(zoom);
  }

  setSmooth(smooth) {
    this.smooth = smooth;
    this.draw();
  }

  toggleLog() {
    this.log = !this.log;
    this.draw();
  }

  scales() {
    const [from, to] = this.zoom || this.whole || [0, 1];
    const ends = [from, to > from ? to : from + 1], across = [MARGIN.left, this.width - MARGIN.right];
    const least = this.logX ? this.leastAbove(from) : 0;
    this.x = this.logX ? d3.scaleLog([least, Math.max(ends[1], 2 * least)], across) : d3.scaleLinear(ends, across);
    let low = Infinity, high = -Infinity;
    for (const s of this.series) {
      const begin = Math.max(0, d3.bisectLeft(s.steps, from)), end = d3.bisectRight(s.steps, to);
      for (const values of [s.values, s.low, s.high]) {
        if (!values) continue;
        for (let i = begin; i < end; i++) {
          const v = values[i];
          // null: a band has none where one run is left; beyond 1e300 the height would overflow
          if (v === null || !(Math.abs(v) < 1e300) || (this.log && v <= 0)) continue;
          if (v < low) low = v;
          if (v > high) high = v;
        }
      }
    }
    this.blank = low > high;
    if (this.blank) [low, high] = this.log ? [0.1, 1] : [0, 1];
    if (low === high) [low, high] = this.log ? [low / 2, high * 2] : [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
    const box = [this.options.height - MARGIN.bottom, MARGIN.top];
    this.y = this.log ? d3.scaleLog([low, high], box) : d3.scaleLinear([low, high], box).nice(5);
  }

  // Where a logarithmic axis begins: zero has no place on it.
  leastAbove(from) {
    if (from > 0) return from;
    const first = d3.min(this.series, (s) => s.steps[d3.bisectRight(s.steps, 0)]);
    return first > 0 ? first : 1;
  }

  draw() {
    if (!this.width || !this.range) return;
    this.scales();
    drawLines(this);
    drawFrame(this);
  }

  drawLegend() {
    const named = this.series.filter((s) => s.label && !s.faint);
    const most = 48;
    this.legend.replaceChildren(...(named.length > 1 ? named.slice(0, most) : []).map((s) =>
      h("button", { className: "plain key" + (s.hidden ? " off" : ""), onclick: () => {
        s.hidden = !s.hidden;
        this.drawLegend();
        this.draw();
      } }, h("i", { style: { background: s.color } }), s.label)), named.length > most ? `and ${named.length - most} more` : "");
  }

  hover(event) {
    const [mx, my] = [event.offsetX, event.offsetY];
    const step = this.x.invert(mx);
    const at = [];
    for (const s of this.series) {
      if (s.hidden || !s.steps.length) continue;
      let i = d3.bisectLeft(s.steps, step);
      if (i >= s.steps.length || (i > 0 && step - s.steps[i - 1] < s.steps[i] - step)) i--;
      const v = s.values[i];
      if (v === null || !Number.isFinite(v) || (this.log && v <= 0)) continue;
      at.push({ s, step: s.steps[i], v, d: Math.abs(this.y(v) - my), i });
    }
    if (!at.length) return this.leave();
    const nearest = d3.least ? d3.least(at, (a) => a.d) : at.reduce((a, b) => (b.d < a.d ? b : a));
    const g = clip(this, this.over);
    g.fillStyle = css("--line");
    g.fillRect(this.x(nearest.step) - 0.5, 0, 1, this.options.height);
    g.strokeStyle = g.fillStyle = nearest.s.color;
    g.lineWidth = 2.5;
    if (this.series.length > 1) {
      g.beginPath();
      trace(this, g, nearest.s, nearest.s.values);
      g.stroke();
    }
    const shown = (at.length <= 10 ? at.filter((a) => !a.s.faint || a === nearest) : [nearest]).sort((a, b) => b.v - a.v);
    for (const a of shown) {
      g.fillStyle = a.s.color;
      g.beginPath();
      g.arc(this.x(a.step), this.y(a.v), 3.5, 0, 7);
      g.fill();
    }
    g.restore();
    this.tip.replaceChildren(h("div", { className: "quiet" }, `${this.options.axis ? this.options.axis.name : "step"} ${number(nearest.step)}`),
      ...shown.map((a) => h("div", { className: a === nearest ? "near" : "" }, h("i", { style: { background: a.s.color } }),
        h("span", {}, a.s.label || ""), h("b", {}, number(a.v)))));
    this.tip.hidden = false;
    const left = mx > this.width / 2;
    Object.assign(this.tip.style, { left: left ? "" : `${mx + 14}px`, right: left ? `${this.width - mx + 14}px` : "",
      top: `${Math.min(my, this.options.height - this.tip.offsetHeight)}px` });
  }

  // Shows what was at a place, as if the pointer were there.
  point(place) {
    if (!this.x || !this.series.length) return;
    this.hover({ offsetX: this.x(place), offsetY: this.options.height / 2 });
  }

  leave() {
    this.tip.hidden = true;
    clip(this, this.over).restore();
  }

  remove() {
    this.observer.disconnect();
    this.options.link.delete(this);
  }
}
