// What curves are drawn over: steps, or what a run had spent by then (epochs, samples, FLOPs, seconds), and how smoothly.
import { h, json, select } from "./util.js";

const AXES = ["step", "epoch", "samples", "flops", "seconds"];
const SMOOTHING = { "": 0, little: 0.01, more: 0.04, much: 0.12 };

// A straight line fitted around each point, weighted exponentially by the distance along the axis on both sides, and not
// by points: curves with many points and with few, thinned out or not, become equally smooth, nothing shifts, and a
// curve's ends are not drawn to its middle. Gaps stay gaps.
export function smoothed(steps, values, width) {
  const n = values.length, out = new Float64Array(n);
  // Sums of w, w·x, w·x², w·y and w·x·y over what lies before a point, x counted from it; then those of what lies behind
  // it are added.
  const W = new Float64Array(n), X = new Float64Array(n), XX = new Float64Array(n), Y = new Float64Array(n), XY = new Float64Array(n);
  for (const sign of [-1, 1]) {
    let w = 0, x = 0, xx = 0, y = 0, xy = 0, before = NaN;
    for (let k = 0; k < n; k++) {
      const i = sign < 0 ? k : n - 1 - k, v = values[i];
      if (!(v > -Infinity && v < Infinity)) {
        w = x = xx = y = xy = 0;
        continue;
      }
      const distance = Math.abs(steps[i] - before), fade = w ? Math.exp(-distance / width) : 0, d = sign * distance;
      if (fade > 0) {
        [xx, xy, x] = [fade * (xx + 2 * d * x + d * d * w), fade * (xy + d * y), fade * (x + d * w)];
        w = fade * w + 1;
        y = fade * y + v;
      } else [w, x, xx, y, xy] = [1, 0, 0, v, 0];
      before = steps[i];
      W[i] += w;
      X[i] += x;
      XX[i] += xx;
      Y[i] += y;
      XY[i] += xy;
    }
  }
  for (let i = 0; i < n; i++) {
    const w = W[i] - 1, y = Y[i] - values[i], spread = w * XX[i] - X[i] * X[i];  // the point itself is on both sides
    out[i] = !(Math.abs(values[i]) < Infinity) ? values[i] : spread > 1e-12 * w * XX[i] ? (XX[i] * y - X[i] * XY[i]) / spread : y / w;
  }
  return out;
}

// Where the steps of runs lie on an axis: linear between the rows of their progress, nowhere past the last one.
export class Axis {
  static async of(name, runs) {
    const axis = new Axis();
    axis.name = name;
    axis.rows = new Map((await json("axis", { axis: name, runs: runs.join(",") })).runs.map((r) => [r.run, r]));
    return axis;
  }

  at(run, step) {
    const rows = this.rows.get(run);
    return rows ? between(rows.steps, rows.at, step) : NaN;
  }

  // The steps that a range of places comes from, in any of the runs.
  steps([from, to]) {
    const all = [...this.rows.values()].filter((r) => r.steps.length);
    const low = all.map((r) => between(r.at, r.steps, from)), high = all.map((r) => between(r.at, r.steps, to));
    return [d3.min(low, (v) => (Number.isNaN(v) ? undefined : v)) ?? 0, d3.max(high.map((v, i) => (Number.isNaN(v) ? all[i].steps[all[i].steps.length - 1] : v))) ?? 1];
  }

  // Turns what was loaded by steps into places.
  place(data) {
    let from = Infinity, to = -Infinity;
    for (const s of data.series) {
      if (s.placed) continue;
      const places = Array.from(s.steps, (step) => this.at(s.run, step)), keep = d3.range(places.length).filter((i) => !Number.isNaN(places[i]));
      s.steps = Float64Array.from(keep, (i) => places[i]);
      s.values = Float64Array.from(keep, (i) => s.values[i]);
    }
    for (const s of data.series.filter((one) => one.steps.length)) {
      from = Math.min(from, s.steps[0]);
      to = Math.max(to, s.steps[s.steps.length - 1]);
    }
    Object.assign(data, from <= to ? { from, to } : { from: 0, to: 1 });
  }
}

function between(xs, ys, x) {
  const last = xs.length - 1;
  if (last < 0 || x > xs[last] || x < Math.min(0, xs[0])) return NaN;
  const i = d3.bisectLeft(xs, x);
  if (xs[i] === x || (i === 0 && xs[0] === 0)) return ys[i];
  const [x0, y0] = i === 0 ? [0, 0] : [xs[i - 1], ys[i - 1]];  // before the first row nothing had been spent at step 0
  return y0 + (x - x0) / (xs[i] - x0) * (ys[i] - y0);
}

// The three controls that every view of curves has. `set` takes what changed, for the address: {axis}, {smooth}, {logx}.
export function controls(query, set) {
  return [select("over ", AXES, query.axis || "step", (axis) => set({ axis: axis === "step" ? "" : axis, zoom: "" })),
    select("smooth ", Object.keys(SMOOTHING), query.smooth || "", (smooth) => set({ smooth })),
    h("label", {}, h("input", { type: "checkbox", name: "logx", checked: query.logx === "1", onchange: (e) => set({ logx: e.target.checked ? "1" : "" }) }), " log x")];
}

export const smoothing = (query) => SMOOTHING[query.smooth] || 0;
export const zoomOf = (query) => (query.zoom ? query.zoom.split(query.zoom.includes("~") ? "~" : "-").map(Number) : null);
export const zoomText = (zoom, axis) => (!zoom ? "" : axis ? zoom.map((v) => +v.toPrecision(7)).join("~") : zoom.map(Math.round).join(zoom[0] < 0 ? "~" : "-"));
