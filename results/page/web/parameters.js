// How parameters and results hang together: every run as a line over all of them, and one result over one parameter. `view` is the
// comparison (compare.js).
import { h, number, color, select, tick, wide } from "./util.js";

// Of a scale's ticks: a logarithmic one has no step.
const labels = (scale) => tick(scale.base ? [] : scale.ticks(5));

// Axes of parallel coordinates: what differs, then results. Numbers on a line, words at points; an infinity has no place on a line.
function scaleOf(view, id, range) {
  const all = view.rows.map((row) => view.value(row, id)).filter((v) => v !== null && v !== undefined), finite = all.filter((v) => !/^-?inf$/.test(v));
  const values = finite.length ? finite : all;
  if (values.length && values.every((v) => typeof v === "number")) {
    const [low, high] = d3.extent(values);
    const spread = low > 0 && high / low > 50;
    return (spread ? d3.scaleLog() : d3.scaleLinear()).domain(low === high ? [low - 1, high + 1] : [low, high]).range(range);
  }
  return d3.scalePoint([...new Set(values.map(String))].sort(), range).padding(0.3);
}

function at(scale, value) {
  if (value === null || value === undefined) return undefined;
  return scale.step ? scale(String(value)) : typeof value === "number" ? scale(value) : undefined;
}

export function parallel(view) {
  const axes = [...view.varying(), ...view.metrics()].slice(0, 12);
  if (axes.length < 2) return h("p", { className: "quiet" }, "Too little differs to draw.");
  const height = 300, gap = Math.max(90, Math.min(190, (Math.min(1400, innerWidth) - 180) / (axes.length - 1)));
  const width = gap * (axes.length - 1) + 160, top = 44, bottom = height - 20;
  const svg = d3.create("svg").attr("class", "parallel").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
  const scales = axes.map((id) => scaleOf(view, id, [bottom, top]));
  const x = (i) => 80 + gap * i;
  const lines = svg.append("g").selectAll("path").data(view.rows).enter().append("path").attr("class", "run")
    .attr("stroke", (row) => color(view.groupOf.get(row[0])))
    .attr("d", (row) => d3.line().defined(([, y]) => y !== undefined).curve(d3.curveMonotoneX)(axes.map((id, i) => [x(i), at(scales[i], view.value(row, id))])))
    .on("click", (row) => (location.hash = `#/run/${row[0]}`));
  lines.append("title").text((row) => `#${row[0]} ${axes.map((id) => `${id.replace("params.", "")} ${number(view.value(row, id))}`).join(", ")}`);
  const brushed = new Map();
  axes.forEach((id, i) => {
    const axis = svg.append("g").attr("class", "axis").attr("transform", `translate(${x(i)},0)`).call(scales[i].step ? d3.axisLeft(scales[i]) : d3.axisLeft(scales[i]).ticks(5).tickFormat(labels(scales[i])));
    axis.append("text").attr("class", "name").attr("y", i % 2 ? 12 : 28).text(id.replace("params.", "").replace(/^last:(result\/)?/, "").replace("best:", "best "));
    axis.append("g").attr("class", "brush").call(d3.brushY().extent([[-9, top], [9, bottom]]).on("brush end", () => {
      d3.event.selection ? brushed.set(i, d3.event.selection) : brushed.delete(i);
      lines.classed("off", (row) => [...brushed].some(([k, [a, b]]) => {
        const y = at(scales[k], view.value(row, axes[k]));
        return !(y >= a && y <= b);
      }));
    }));
  });
  return wide("Parameters and results", svg.node(), h("p", { className: "quiet note" }, "Drag along an axis to choose; click on a line to open its run."));
}

export function scatter(view) {
  const params = [...view.varying(), ...view.columns.filter((id) => id.startsWith("params.") && !view.varying().includes(id)), "seed", "seconds"];
  const metrics = view.metrics();
  if (!metrics.length) return;
  const px = view.query.px && view.column(view.query.px) >= 0 ? view.query.px : view.varying()[0] || "seed";
  const py = view.query.py && view.column(view.query.py) >= 0 ? view.query.py : metrics[0];
  const width = Math.min(760, innerWidth - 60), height = 280;
  const svg = d3.create("svg").attr("class", "scatter").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
  const x = scaleOf(view, px, [70, width - 20]), y = scaleOf(view, py, [height - 34, 14]);
  if (y.nice) y.nice(5);
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - 34})`).call(x.step ? d3.axisBottom(x) : d3.axisBottom(x).ticks(6).tickFormat(labels(x)));
  svg.append("g").attr("class", "axis y").attr("transform", "translate(70,0)").call(d3.axisLeft(y).ticks(5).tickSize(-(width - 90)));
  const shown = view.rows.filter((row) => at(x, view.value(row, px)) !== undefined && at(y, view.value(row, py)) !== undefined);
  svg.append("g").selectAll("circle").data(shown).enter().append("circle").attr("r", 5)
    .attr("cx", (row) => at(x, view.value(row, px))).attr("cy", (row) => at(y, view.value(row, py)))
    .attr("fill", (row) => color(view.groupOf.get(row[0]))).on("click", (row) => (location.hash = `#/run/${row[0]}`))
    .append("title").text((row) => `#${row[0]} ${px.replace("params.", "")} ${number(view.value(row, px))}, ${py} ${number(view.value(row, py))}`);
  view.scatterBox.replaceChildren(h("div", { className: "tools" },
    select("parameter ", params, px, (v) => { view.set({ px: v }); scatter(view); }),
    select("against ", metrics, py, (v) => { view.set({ py: v }); scatter(view); })), svg.node());
}
