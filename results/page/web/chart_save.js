// A chart as a document of its own, and its numbers.
import { css } from "./util.js";
import { banded, strokes, trace } from "./chart_lines.js";
import { MARGIN } from "./frame.js";
import { csvRow, standalone } from "./save.js";

// A line and its band as paths.
function drawSeries(chart, lines, s, many) {
  if (s.low) {
    const at = (i, v) => `${chart.x(s.steps[i]).toFixed(2)},${chart.y(v).toFixed(2)}`, there = banded(chart, s);
    if (there.length > 1) lines.append("path").attr("d", `M${[...there.map((i) => at(i, s.high[i])), ...there.reverse().map((i) => at(i, s.low[i]))].join("L")}Z`).attr("fill", s.color).attr("opacity", 0.16);
  }
  for (const [values, alpha] of strokes(chart, s, many)) {
    const path = [];
    trace(chart, { moveTo: (x, y) => path.push(`M${x.toFixed(2)},${y.toFixed(2)}`), lineTo: (x, y) => path.push(`L${x.toFixed(2)},${y.toFixed(2)}`),
      rect: (x, y) => path.push(`M${x.toFixed(2)},${(y + 1.5).toFixed(2)}h3`) }, s, values);
    lines.append("path").attr("d", path.join("")).attr("stroke", s.color).attr("stroke-width", s.width || 1.5).attr("opacity", alpha).append("title").text(s.label || "");
  }
}

// As drawn: the frame, and each line as a path.
export function chartSvg(chart) {
  const { height } = chart.options;
  const out = d3.create("svg").attr("viewBox", `0 0 ${chart.width} ${height}`)
    .attr("width", chart.width).attr("height", height);
  out.append("rect").attr("width", "100%").attr("height", "100%").attr("fill", css("--card"));
  const box = out.append("clipPath").attr("id", "box").append("rect");
  box.attr("x", MARGIN.left).attr("y", MARGIN.top - 2).attr("width", chart.inner).attr("height", height - MARGIN.top - MARGIN.bottom + 4);
  out.node().append(...[...chart.back.childNodes].map((node) => node.cloneNode(true)));
  const lines = out.append("g").attr("clip-path", "url(#box)").attr("fill", "none");
  const shown = chart.series.filter((s) => !s.hidden);
  for (const s of shown) drawSeries(chart, lines, s, shown.length);
  out.node().append(...[...chart.svg.querySelectorAll(".mark")].map((node) => node.cloneNode(true)));
  const named = shown.filter((s) => s.label && !s.faint);
  const keys = named.length <= 12 ? named : [];
  keys.forEach((s, i) => out.append("text").attr("x", chart.width - MARGIN.right - 6).attr("y", MARGIN.top + 14 * (i + 1)).attr("text-anchor", "end").attr("class", "key").attr("fill", s.color).text(s.label));
  const style = `text { font: 11px sans-serif; } text:not(.key) { fill: ${css("--ink")}; } .domain { display: none; } .tick line, .stage line { stroke: ${css("--line")}; }
    .stage rect { fill: ${css("--line")}; opacity: .3; } .mark line, .mark path { stroke: ${css("--quiet")}; fill: ${css("--quiet")}; } .border line { stroke-dasharray: 3 3; opacity: .6; }
    .border.fork line { stroke-dasharray: none; }`;
  return standalone(out.node(), style);
}

export function chartCsv(chart) {
  const { axis } = chart.options, bands = chart.series.some((s) => s.low);
  const rows = [["run", "series", axis ? axis.name : "step", "value", ...(bands ? ["low", "high"] : [])]];
  for (const s of chart.series.filter((one) => !one.hidden)) {
    const head = [s.run ?? "", s.label || s.key || chart.options.title || ""];
    for (let i = 0; i < s.steps.length; i++) rows.push([...head, s.steps[i], s.values[i], ...(s.low ? [s.low[i] ?? "", s.high[i] ?? ""] : [])]);
  }
  return rows.map(csvRow).join("\n") + "\n";
}
