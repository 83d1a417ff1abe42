// A metric over two parameters, as a table: the mean of the runs of each cell, the darker the better. Numbers of many values are
// taken together in as many bins as there is room for.
import { h, number, plain, wide } from "./util.js";

const MOST = 12, BINS = 8;

// Which of a parameter's places a value falls into: { labels, of(value) -> index or -1 }.
export function places(values) {
  const known = values.filter((v) => v !== null && v !== undefined);
  const numbers = known.every((v) => typeof v === "number");
  const order = (a, b) => (numbers ? a - b : String(a) < String(b) ? -1 : 1), distinct = [...new Set(known)].sort(order);
  if (!numbers || distinct.length <= MOST) return { labels: distinct.map(plain), of: (v) => distinct.indexOf(v) };
  const [low, high] = d3.extent(distinct);
  const scale = (low > 0 && high / low > 50 ? d3.scaleLog() : d3.scaleLinear()).domain([low, high]).range([0, BINS]);
  const edge = (i) => plain(+scale.invert(i).toPrecision(3));
  return { labels: d3.range(BINS).map((i) => `${edge(i)} – ${edge(i + 1)}`),
    of: (v) => (typeof v === "number" ? Math.min(BINS - 1, Math.floor(scale(v))) : -1) };
}

// rows: [run, value across, value down, metric] each. better: "higher", "lower" or null; then the greater is the darker.
export function parameterMap({ rows, better, across, down }) {
  const x = places(rows.map((row) => row[1])), y = places(rows.map((row) => row[2])), cells = new Map();
  for (const [run, a, b, value] of rows) {
    const i = x.of(a), j = y.of(b);
    if (i < 0 || j < 0) continue;
    const at = `${i},${j}`;
    if (!cells.has(at)) cells.set(at, { runs: [], values: [] });
    cells.get(at).runs.push(run);
    if (Number.isFinite(value)) cells.get(at).values.push(value);
  }
  for (const cell of cells.values()) cell.mean = cell.values.length ? d3.mean(cell.values) : NaN;
  const means = [...cells.values()].map((cell) => cell.mean).filter(Number.isFinite), [low, high] = d3.extent(means);
  const best = better === "lower" ? low : high, worst = better === "lower" ? high : low;
  const share = (mean) => (high > low ? Math.abs(mean - worst) / (high - low) : 1);
  const shown = (id) => id.replace("params.", "");
  const td = (cell) => {
    if (!cell) return h("td", { className: "none" }, "–");
    const of = cell.values.length === cell.runs.length ? "" : ` (${cell.values.length} of ${cell.runs.length})`;
    const one = cell.runs.length === 1, names = cell.runs.map((id) => `#${id}`).join(", ");
    const node = h("td", { className: cell.mean === best && better ? "best" : "", title: `${one ? "run" : "runs"} ${names}` },
      h("a", { href: one ? `#/run/${cell.runs[0]}` : `#/compare?runs=${cell.runs.join(",")}` }, number(cell.mean), of));
    if (Number.isFinite(cell.mean)) node.style.setProperty("--share", `${(45 * share(cell.mean)).toFixed(1)}%`);
    return node;
  };
  return wide(`${shown(down)} by ${shown(across)}`, h("table", { className: "map", ariaLabel: `${shown(down)} by ${shown(across)}` },
    h("thead", {}, h("tr", {}, h("td"), x.labels.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, d3.range(y.labels.length).reverse().map((j) => h("tr", {}, h("th", { scope: "row" }, y.labels[j]),
      x.labels.map((_, i) => td(cells.get(`${i},${j}`))))))),
  h("p", { className: "quiet note" }, "The mean of each cell's runs, ", better ? "the darker the better." : "the darker the greater."));
}
