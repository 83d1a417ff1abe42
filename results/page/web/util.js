// Small things that every view uses. Text from the store only ever becomes text nodes: nothing here parses markup.

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

export class Refusal extends Error {}

async function ask(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  let response;
  try {
    response = await fetch(`/api/${path}?${query}`);
  } catch {
    throw new Refusal("The server does not answer: is `gradus serve` still running?");
  }
  if (!response.ok) {
    const text = await response.text();
    let message = text;
    try { message = JSON.parse(text).error; } catch { /* plain text */ }
    throw new Refusal(message || `status ${response.status}`);
  }
  return response;
}

export async function json(path, parameters = {}) {
  return (await ask(path, parameters)).json();
}

// Curves come as a JSON head and float64 arrays, which need no parsing.
export async function curves(parameters) {
  const bytes = await (await ask("curves", parameters)).arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  let at = Math.ceil((4 + length) / 8) * 8;
  for (const curve of head.curves) {
    curve.steps = new Float64Array(bytes, at, curve.points);
    curve.values = new Float64Array(bytes, at + 8 * curve.points, curve.points);
    at += 16 * curve.points;
  }
  return head;
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "nan";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en").replaceAll(",", " ");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e9) return value.toExponential(2).replace("e+", "e");
  return size >= 1000 ? value.toFixed(1) : value.toPrecision(4);
}

// As short as a person would write a setting: 0.5, not 0.5000.
export const plain = (value) => (typeof value === "number" ? String(+value.toPrecision(6)) : String(value ?? "–"));

// Labels of the ticks of an axis: as many digits as tell neighbours apart.
export function tick(ticks) {
  const step = Math.abs(ticks[1] - ticks[0]) || Infinity;
  return (v) => {
    const size = Math.abs(v), digits = Math.floor(Math.log10(size)) - Math.floor(Math.log10(step));
    return size >= 1e5 || (v && size < 1e-3) ? v.toExponential(Math.min(20, Math.max(1, digits))).replace(/\.?0+e/, "e") : String(+v.toPrecision(Math.min(20, Math.max(6, digits + 1))));
  };
}

// "0.941 ± 0.012": the deviation to two digits, the mean to the same place.
export function meanSd(mean, sd) {
  if (typeof mean !== "number") return "–";
  if (typeof sd !== "number") return number(mean);
  if (sd === 0) return `${number(mean)} ± 0`;
  const decimals = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(sd))));
  return `${mean.toFixed(decimals)} ± ${sd.toFixed(decimals)}`;
}

// An event's detail: names and values, those of a table within it among them ("numbers": what a decision was taken from).
export function facts(detail) {
  const short = (text) => (/^[0-9a-f]{40,}$/.test(text) ? text.slice(0, 12) + "…" : text.length > 300 ? text.slice(0, 299) + "…" : text);
  return Object.entries(detail).map(([k, v]) => (v && typeof v === "object" && !Array.isArray(v) ? facts(v)
    : h("span", { className: "fact", title: typeof v === "string" ? v : "" }, h("i", {}, k), " ",
      typeof v === "string" ? short(v) : typeof v === "number" ? number(v) : JSON.stringify(v))));
}

export function duration(seconds) {
  if (typeof seconds !== "number") return "–";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor(seconds % 3600 / 60)).padStart(2, "0")} min`;
}

export const when = (iso) => (iso ? iso.slice(0, 16).replace("T", " ") : "–");

const PALETTE = ["#3b6fb6", "#d9822b", "#3f9c6b", "#b3446c", "#7b61b0", "#2a9d9d", "#c9a227", "#8a5a44", "#5f7f9f", "#9aa53f"];
export const color = (index) => PALETTE[index % PALETTE.length] ?? "#8d96a5";  // of no group: grey

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function status(text) {
  return h("span", { className: `status ${text}` }, text);
}

// Asks again and again while a view is shown: never twice at once, not while its tab is hidden, and the longer an
// answer took, the longer not at all, so that whoever leaves a page open takes a twentieth of the machine at most.
// Returns what ends it.
export function again(seconds, ask) {
  let timer = null, asking = false, over = false;
  const turn = async () => {
    clearTimeout(timer);
    if (over || asking || document.hidden) return;
    asking = true;
    const began = performance.now();
    try {
      await ask();
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
    }
    asking = false;
    timer = setTimeout(turn, Math.max(1000 * seconds, Math.min(30_000, 20 * (performance.now() - began))));
  };
  document.addEventListener("visibilitychange", turn);
  timer = setTimeout(turn, 1000 * seconds);
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };
}

// The hash holds the whole state of a view: "#/compare?runs=1,2&by=strategy".
export function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, id] = path.split("/");
  return { view: view || "runs", id, query: Object.fromEntries(new URLSearchParams(query || "")) };
}

export function link(view, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== undefined && v !== null && v !== ""))
    .toString().replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%3A", ":");
  return `#/${view}${text ? "?" + text : ""}`;
}

// Changes the address without a new view and without an entry in the history.
export function remember(query) {
  const { view, id, query: old } = place();
  history.replaceState(null, "", link(id ? `${view}/${id}` : view, { ...old, ...query }));
}

// What may be wider than the screen scrolls by itself, with the keyboard too.
export const wide = (label, ...children) => h("div", { className: "wide", tabIndex: 0, role: "region", ariaLabel: label }, ...children);

export function select(label, options, value, onchange) {
  return h("label", { className: "select" }, label,
    h("select", { onchange: (event) => onchange(event.target.value) },
      options.map((option) => h("option", { value: option, selected: option === value }, option || "–"))));
}
