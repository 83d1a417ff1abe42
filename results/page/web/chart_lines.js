// The curves of a chart, and the bands around them.
import { smoothed } from "./axis.js";
import { MARGIN } from "./frame.js";

// The canvas, empty, and nothing drawn beyond the frame until its restore().
export function clip(chart, canvas) {
  const ratio = devicePixelRatio || 1;
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, chart.width, chart.options.height);
  g.save();
  g.beginPath();
  g.rect(MARGIN.left, MARGIN.top - 2, chart.inner, chart.options.height - MARGIN.top - MARGIN.bottom + 4);
  g.clip();
  g.lineJoin = "round";
  return g;
}

// A series as a path on `g`: a canvas, or whatever else has moveTo, lineTo and rect.
export function trace(chart, g, s, values) {
  // By hand, not through the scales: a million points of 200 curves in one frame.
  const logX = chart.logX, [d0, d1] = chart.x.domain(), [x0, x1] = logX ? [Math.log(d0), Math.log(d1)] : [d0, d1], kx = chart.inner / (x1 - x0);
  const height = chart.options.height - MARGIN.bottom - MARGIN.top, log = chart.log;
  const [y0, y1] = chart.y.domain().map((v) => (log ? Math.log(v) : v)), ky = height / (y1 - y0);
  const bottom = chart.options.height - MARGIN.bottom;
  let pen = false, alone = false, px = 0, py = 0;
  const begin = Math.max(0, d3.bisectLeft(s.steps, d0) - 1), end = Math.min(s.steps.length, d3.bisectRight(s.steps, d1) + 1);
  for (let i = begin; i < end; i++) {
    const v = log ? Math.log(values[i]) : values[i];
    if (!(v > -Infinity && v < Infinity)) {
      if (alone) g.rect(px - 1, py - 1, 2, 2);
      pen = alone = false;
      continue;
    }
    if (logX && s.steps[i] <= 0) continue;
    px = MARGIN.left + ((logX ? Math.log(s.steps[i]) : s.steps[i]) - x0) * kx;
    py = bottom - (v - y0) * ky;
    alone = !pen;
    if (pen) g.lineTo(px, py);
    else g.moveTo(px, py);
    pen = true;
  }
  if (alone) g.rect(px - 1.5, py - 1.5, 3, 3);
}

// Where a series has a band around it that can be drawn: neither axis has a place for zero where it is logarithmic.
export const banded = (chart, s) => d3.range(s.steps.length).filter((i) => s.low[i] !== null && Number.isFinite(s.low[i]) &&
  (!chart.log || s.low[i] > 0) && (!chart.logX || s.steps[i] > 0));

export function drawLines(chart) {
  const g = clip(chart, chart.lines);
  const many = chart.series.length;
  for (const s of chart.series) {
    if (s.hidden) continue;
    if (s.low) {
      g.beginPath();
      const at = (i, v) => [chart.x(s.steps[i]), chart.y(v)];
      const shown = banded(chart, s);
      shown.forEach((i, k) => (k ? g.lineTo(...at(i, s.high[i])) : g.moveTo(...at(i, s.high[i]))));
      shown.reverse().forEach((i) => g.lineTo(...at(i, s.low[i])));
      g.globalAlpha = 0.16;
      g.fillStyle = s.color;
      g.fill();
    }
    g.strokeStyle = s.color;
    for (const [values, alpha] of strokes(chart, s, many)) {
      g.globalAlpha = alpha;
      g.lineWidth = s.width || (many > 30 ? 1 : 1.5);
      g.beginPath();
      trace(chart, g, s, values);
      g.stroke();
    }
  }
  g.restore();
  const o = chart.over.getContext("2d");
  o.setTransform(1, 0, 0, 1, 0, 0);
  o.clearRect(0, 0, chart.over.width, chart.over.height);
}

// What is drawn of a series: its values, or, smoothed, faintly these and what is behind their noise.
export function strokes(chart, s, many) {
  const alpha = s.faint ? (many > 60 ? 0.14 : 0.25) : many > 30 ? 0.55 : 1;
  if (!chart.smooth || s.low || (s.faint && many > 60)) return [[s.values, alpha]];
  const across = (v) => (chart.logX ? Math.log(v) : v), [from, to] = chart.x.domain().map(across);
  const places = chart.logX ? Float64Array.from(s.steps, across) : s.steps;
  return [[s.values, Math.min(0.25, alpha / 2)], [smoothed(places, s.values, chart.smooth * (to - from)), alpha]];
}
