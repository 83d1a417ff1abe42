// The columns of the table of runs: their titles, which of them are shown and in what order, and the choice of others.
import { h } from "./util.js";

const HIDDEN = new Set(["uid", "step", "kind", "parent", "error", "config", "device", "git_commit"]);

export const title = (id) => id === "seconds" ? "time" : id.replace(/^(params|tags)\./, "").replace(/^last:result\//, "").replace(/^last:/, "").replace(/^(best|min|max):(.*)/, "$2 $1");
export const isMetric = (id) => /^(last|best|min|max):/.test(id);

// Columns worth a look: parameters that differ, metrics, and the plain facts.
function usual({ columns, rows }) {
  return columns.filter((id, index) => {
    if (HIDDEN.has(id)) return false;
    if (id === "note" || id === "archived") return rows.some((row) => row[index]);
    if (!id.startsWith("params.")) return true;
    const first = rows.length ? JSON.stringify(rows[0][index]) : "";
    return rows.some((row) => JSON.stringify(row[index]) !== first);
  });
}

// The ids of the columns to show, from left to right. cols: those that the reader chose, with commas between; "": the usual ones.
export function shownColumns(data, cols) {
  const shown = cols ? cols.split(",").filter((id) => data.columns.includes(id)) : usual(data);
  const first = ["id", "name", "status"].filter((id) => shown.includes(id));
  const late = ["seconds", "started"].filter((id) => shown.includes(id));
  const params = shown.filter((id) => id.startsWith("params."));
  const strategy = params.indexOf("params.strategy");
  if (strategy > 0) params.unshift(...params.splice(strategy, 1));
  const metrics = shown.filter(isMetric);
  const rest = shown.filter((id) => ![...first, ...late, ...params, ...metrics].includes(id));
  return [...first, ...params, ...rest, ...metrics, ...late];
}

// A dialog with a box for each column. choose(cols, metrics): both as the address has them; "": the usual ones.
export function pickColumns(data, shown, choose) {
  const now = new Set(shown);
  const box = (id, label) => h("label", {}, h("input", { type: "checkbox", value: id, checked: now.has(id) }), ` ${label}`);
  const facts = data.columns.filter((id) => !isMetric(id));
  const metrics = data.keys.flatMap((key) => (key.startsWith("result/") ? [`last:${key}`] : [`last:${key}`, `best:${key}`]));
  const list = h("div", { className: "picks" }, facts.map((id) => box(id, title(id))), h("hr"), metrics.map((id) => box(id, id.replace(":", " "))));
  const search = h("input", { type: "text", placeholder: "find a column", oninput: () => {
    for (const label of list.querySelectorAll("label")) label.hidden = !label.textContent.includes(search.value);
  } });
  const dialog = h("dialog", { className: "columns", onclose: () => dialog.remove() }, h("h2", {}, "Columns"), search, list,
    h("p", {}, h("button", { type: "button", className: "primary", onclick: () => {
      const ids = [...list.querySelectorAll("input:checked")].map((input) => input.value);
      dialog.close();
      choose(ids.join(","), ids.filter(isMetric).join(","));
    } }, "Show"), " ", h("button", { type: "button", onclick: () => {
      dialog.close();
      choose("", "");
    } }, "Usual ones")));
  document.body.append(dialog);
  dialog.showModal();
}
