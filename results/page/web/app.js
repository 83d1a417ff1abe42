// Which view is shown, keys, theme. A view is a function (place) -> {node, keys, stop}; its state is in the address.
import { h, link, place, Refusal } from "./util.js";
import { runsView } from "./runs.js";
import { runView } from "./run.js";
import { compareView } from "./compare.js";

// The token has become a cookie; it need not stay in the history.
if (location.search) history.replaceState(null, "", "/" + location.hash);

const VIEWS = { runs: runsView, run: runView, compare: compareView };
const KEYS = [["/", "filter"], ["j  k", "next and previous run"], ["enter", "open the run"], ["x", "choose for comparison"],
  ["c", "compare what is chosen"], ["esc", "back"], ["drag", "zoom into a chart; double click: all of it"],
  ["l", "logarithmic charts"], ["← →  ↑ ↓", "read a course, cell by cell"], ["t", "light or dark"], ["?", "this list"]];

const main = document.getElementById("view");
const where = document.getElementById("where");
let current = null;

async function show() {
  const at = place();
  if (current && current.stop) current.stop();
  current = null;
  where.value = at.query.where || "";
  document.getElementById("filter").hidden = at.view !== "runs";
  const mine = show.latest = Symbol();
  try {
    const view = await (VIEWS[at.view] || runsView)(at);
    if (mine !== show.latest) return view.stop && view.stop();
    current = view;
    main.replaceChildren(view.node);
    main.scrollTop = 0;
    if (view.shown) view.shown();
    document.title = view.title ? `${view.title} · Gradus` : "Gradus";
    if (view.store) Object.assign(document.getElementById("store"), { textContent: view.store.split("/").slice(-3).join("/"), title: view.store });
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    main.replaceChildren(h("h1", {}, "Not to be shown"), h("p", { className: "error" }, error.message), h("p", {}, h("a", { href: "#/runs" }, "All runs")));
  }
  document.body.dataset.ready = at.view;
  performance.mark("ready");
}

function toggleTheme() {
  const dark = document.documentElement.dataset.theme !== "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  localStorage.setItem("gradus-theme", dark ? "dark" : "light");
  dispatchEvent(new Event("theme"));
}

function toggleHelp() {
  const open = document.querySelector("dialog.keys");
  if (open) return open.remove();
  const dialog = h("dialog", { className: "keys", onclick: () => dialog.remove(), onclose: () => dialog.remove() },
    h("h2", {}, "Keys"), h("dl", {}, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]).flat()));
  document.body.append(dialog);
  dialog.showModal();
}

function filter(text) {
  location.hash = link("runs", { ...place().query, where: text });
}

document.getElementById("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  filter(where.value);
  where.blur();
});
let typing;
where.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => current && current.filter && current.filter(where.value), 250);
});
document.getElementById("theme").addEventListener("click", toggleTheme);
document.getElementById("help").addEventListener("click", toggleHelp);

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const editing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (editing) return event.target.blur();
    if (document.querySelector("dialog")) return;
    if (place().view !== "runs") history.length > 1 ? history.back() : (location.hash = "#/runs");
    return;
  }
  if (editing) return;
  if (event.key === "/") {
    event.preventDefault();
    if (place().view !== "runs") location.hash = "#/runs";
    document.getElementById("filter").hidden = false;
    where.focus();
  } else if (event.key === "?") toggleHelp();
  else if (event.key === "t") toggleTheme();
  else if (current && current.keys && current.keys[event.key]) {
    event.preventDefault();
    current.keys[event.key]();
  }
});

// What the server refuses after a click is told above the view, which stays as it was.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Refusal)) return;
  event.preventDefault();
  main.querySelectorAll(":scope > .error").forEach((node) => node.remove());
  main.prepend(h("p", { className: "error", role: "alert" }, event.reason.message));
});
addEventListener("hashchange", show);
show();
