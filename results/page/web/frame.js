// What surrounds a chart's curves: axes, stages, borders, marks, and the brush that zooms.

import { tick } from "./util.js";

export const MARGIN = { top: 22, right: 14, bottom: 26, left: 52 };

function drawStages(chart, back, bottom) {
  const [from, to] = chart.x.domain(), all = chart.options.stages || [];
  for (const stage of all.filter((s) => s.to >= from && s.from <= to)) {
    const x0 = stage.from > from ? chart.x(stage.from) : MARGIN.left, x1 = stage.to < to ? chart.x(stage.to) : chart.width - MARGIN.right;
    const band = back.append("g").attr("class", "stage");
    if (stage.index % 2) band.append("rect").attr("x", x0).attr("y", MARGIN.top).attr("width", Math.max(0, x1 - x0)).attr("height", bottom - MARGIN.top);
    if (stage.index) band.append("line").attr("x1", x0).attr("x2", x0).attr("y1", MARGIN.top).attr("y2", bottom);
    if (all.length > 1 && x1 - x0 > 24)
      band.append("text").attr("x", x0 + 4).attr("y", MARGIN.top - 6).text(stage.name.slice(0, Math.floor((x1 - x0) / 6.5)));
  }
}

// Of several runs: where their stages begin, and where they were forked.
function drawBorders(chart, back, bottom) {
  const [from, to] = chart.x.domain();
  for (const border of chart.options.borders || []) {
    if (!(border.x >= from && border.x <= to)) continue;
    const x = chart.x(border.x), line = back.append("g").attr("class", border.fork ? "border fork" : "border");
    line.append("line").attr("x1", x).attr("x2", x).attr("y1", MARGIN.top).attr("y2", bottom).attr("stroke", border.color);
    if (border.fork) line.append("circle").attr("cx", x).attr("cy", MARGIN.top).attr("r", 4).attr("stroke", border.color).attr("fill", "none").attr("stroke-width", 2);
    else line.append("path").attr("d", `M${x - 3.5},${bottom}h7l-3.5,-6z`).attr("fill", border.color);
    line.append("title").text(border.title);
  }
}

function drawAxes(chart, back, bottom) {
  const { height, axis } = chart.options;
  const y = d3.axisLeft(chart.y).ticks(height < 130 ? 2 : 5, chart.log ? "~g" : undefined).tickSize(-chart.inner).tickPadding(6);
  if (!chart.log) y.tickFormat(tick(chart.y.ticks(5)));
  back.append("g").attr("class", "axis y").attr("transform", `translate(${MARGIN.left},0)`).call(y);
  back.append("g").attr("class", "axis x").attr("transform", `translate(0,${bottom})`)
    .call(d3.axisBottom(chart.x).ticks(Math.max(2, chart.width / 90), chart.logX ? "~s" : undefined).tickSize(4)
      .tickFormat(chart.logX ? undefined : (v) => (v >= 1e4 ? d3.format("~s")(v) : +v.toPrecision(6))));
  const why = !chart.series.some((s) => s.steps.length) ? `nothing known over ${axis ? axis.name : "step"}`
    : chart.log ? "no value above 0" : "no finite value";
  if (chart.blank) back.append("text").attr("class", "axisname").attr("x", chart.width / 2).attr("y", (MARGIN.top + bottom) / 2)
    .attr("text-anchor", "middle").text(why);
  if (axis) back.append("text").attr("class", "axisname").attr("x", chart.width - MARGIN.right).attr("y", height - 2)
    .attr("text-anchor", "end").text(axis.name);
}

function drawMarks(chart, svg, bottom) {
  const [from, to] = chart.x.domain();
  for (const mark of (chart.options.marks || []).filter((m) => m.step >= from && m.step <= to)) {
    const x = chart.x(mark.step);
    const g = svg.append("g").attr("class", `mark ${mark.kind}`);
    g.append("line").attr("x1", x).attr("x2", x).attr("y1", MARGIN.top).attr("y2", bottom);
    g.append("path").attr("d", `M${x - 5},${MARGIN.top - 1}h10l-5,7z`);
    g.append("title").text(`step ${mark.was ?? mark.step}: ${mark.kind} ${mark.name || ""} ${mark.detail ? JSON.stringify(mark.detail) : ""}`);
  }
}

export function drawFrame(chart) {
  const bottom = chart.options.height - MARGIN.bottom, back = d3.select(chart.back), svg = d3.select(chart.svg);
  back.selectAll("*").remove();
  svg.selectAll("*").remove();
  drawStages(chart, back, bottom);
  drawBorders(chart, back, bottom);
  drawAxes(chart, back, bottom);
  const brush = d3.brushX().extent([[MARGIN.left, MARGIN.top], [chart.width - MARGIN.right, bottom]]).on("end", () => {
    if (!d3.event.selection) return;
    const [a, b] = d3.event.selection.map(chart.x.invert);
    if (chart.options.axis ? b > a : b - a >= 1) chart.setZoom([Math.max(a, chart.whole[0]), Math.min(b, chart.whole[1])]);
  });
  svg.append("g").attr("class", "brush").call(brush).on("dblclick", () => chart.setZoom(null))
    .on("mousemove", () => chart.hover(d3.event)).on("mouseleave", () => chart.leave());
  drawMarks(chart, svg, bottom);
}
