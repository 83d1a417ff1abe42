// The table of runs: virtual rows, so that thousands cost what forty cost.
import { isMetric, title, shownColumns, pickColumns } from "./run_columns.js";
import { h, json, number, meanSd, plain, duration, when, status, link, remember, select, again, Refusal } from "./util.js";

const ROW = 34, MOST = 500;  // runs of one comparison that nobody chose
const chosen = new Set();  // outlives the view: choose, look at a run, come back

function compare(a, b) {
  [a, b] = [a, b].map((v) => (v === "inf" ? Infinity : v === "-inf" ? -Infinity : v));
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

const asCells = (nodes) => nodes.map((node) => Object.assign(node, { role: "cell" }));

class Runs {
  constructor(at) {
    this.query = at.query;
    this.cursorRow = 0;
    this.head = h("div", { className: "thead", role: "row", ariaRowIndex: "1" });
    this.body = h("div", { className: "tbody" });
    this.spacer = h("div", { className: "spacer" }, this.body);
    this.scroll = h("div", { className: "table", role: "table", ariaLabel: "Runs", onscroll: () => this.paint() }, this.head, this.spacer);
    this.note = h("p", { className: "error", hidden: true });
    this.count = h("span", { className: "quiet" });
    this.compareButton = h("button", { type: "button", className: "primary", onclick: () => this.compare() });
    this.groupBox = h("span");
    this.node = h("section", { className: "runs" }, h("h1", { className: "unseen" }, "Runs"),
      h("div", { className: "tools" }, this.count, this.note, h("span", { className: "grow" }), this.groupBox,
        this.also("children", "teachers"), this.also("archived", "archived"),
        h("button", { type: "button", onclick: () => this.pick() }, "Columns"), this.compareButton),
      this.scroll);
  }

  // A box that shows runs which the table otherwise leaves out.
  also(name, label) {
    return h("label", {}, h("input", { type: "checkbox", name, checked: this.query[name] === "1", onchange: (event) => {
      location.hash = link("runs", { ...this.query, [name]: event.target.checked ? "1" : "" });
    } }), ` ${label}`);
  }

  // What the server is asked; the rest of the address is about how the answer is shown.
  get question() {
    const { where, children, archived, metrics } = this.query;
    return { where, children, archived, metrics };
  }

  async load() {
    this.data = await json("runs", this.question);
    this.data.byId = new Map(this.data.rows.map((row) => [row[0], row]));
    this.arrange();
  }

  column(id) { return this.data.columns.indexOf(id); }

  arrange() {
    this.shown = shownColumns(this.data, this.query.cols);
    const sort = this.query.sort || "-id";
    const by = this.column(sort.replace(/^-/, "")), sign = sort.startsWith("-") ? -1 : 1;
    const rows = [...this.data.rows];
    if (by >= 0) rows.sort((a, b) => {
      const missing = (v) => v === null || v === undefined;
      if (missing(a[by]) || missing(b[by])) return compare(a[by], b[by]);  // at the end, either way
      return sign * compare(a[by], b[by]) || b[0] - a[0];
    });
    const group = this.query.group && this.column(this.query.group);
    if (this.query.group && group >= 0) {
      const groups = new Map();
      for (const row of rows) {
        const key = JSON.stringify(row[group] ?? null);
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(row);
      }
      this.rows = [...groups].flatMap(([key, members]) => [{ group: JSON.parse(key), members }, ...members]);
    } else {
      this.rows = rows;
    }
    const running = this.column("status");
    this.watch = this.data.rows.filter((row) => row[running] === "running").map((row) => row[0]);
    this.render();
  }

  render() {
    const widths = this.shown.map((id) => (id === "id" ? "62px" : id === "name" ? "minmax(120px, 1.6fr)" : id === "status" ? "104px"
      : id === "started" || id === "archived" ? "138px" : id === "seed" ? "56px" : `minmax(${this.least(id)}px, 1fr)`));
    this.template = ["34px", ...widths].join(" ");
    // Told once: rows whose width follows their content are laid out ten times as slowly.
    const least = d3.sum(widths, (width) => 12 + +width.match(/\d+/)[0]) + 62;
    this.scroll.style.setProperty("--least", `${least}px`);
    const sort = this.query.sort || "-id";
    this.head.style.gridTemplateColumns = this.template;
    this.scroll.ariaRowCount = String(this.rows.length + 1);
    this.head.replaceChildren(h("span", { role: "cell" }), ...this.shown.map((id) => {
      const sorted = sort.replace(/^-/, "") === id, down = sort.startsWith("-");
      return h("span", { role: "columnheader", ariaSort: sorted ? (down ? "descending" : "ascending") : null }, h("button", {
        type: "button", className: "plain" + (this.right(id) ? " right" : ""), title: id, onclick: () => this.sort(id),
      }, title(id), sorted ? (down ? " ↓" : " ↑") : ""));
    }));
    const groups = ["", ...this.data.columns.filter((id) => id.startsWith("params.") || ["name", "status", "seed", "config"].includes(id))];
    this.groupBox.replaceChildren(select("group by ", groups, this.query.group || "", (value) => {
      this.query.group = value;
      remember({ group: value });
      this.arrange();
    }));
    this.spacer.style.height = `${this.rows.length * ROW}px`;
    const n = this.data.rows.length;
    this.count.textContent = n === 0 ? (this.query.where ? "no run fits the filter" : "no runs yet: gradus run SCRIPT makes them")
      : `${number(n)} run${n === 1 ? "" : "s"}${this.watch.length ? `, ${this.watch.length} running` : ""}`;
    this.painted = null;
    this.paint();
    this.paintCompare();
  }

  right(id) {
    const index = this.column(id);
    const some = this.data.rows.find((row) => row[index] !== null && row[index] !== undefined);
    return id !== "id" && some !== undefined && typeof some[index] === "number";
  }

  // A parameter's column is as wide as its words and numbers, within reason: they tell the runs apart.
  least(id) {
    if (isMetric(id)) return this.query.group ? 124 : 76;  // room for the groups' mean ± deviation
    const index = this.column(id);
    const length = (value) => (typeof value === "string" ? value.length : typeof value === "number" ? plain(value).length : 0);
    const longest = d3.max(this.data.rows.slice(0, 1000), (row) => length(row[index])) || 0;
    return Math.round(Math.min(180, Math.max(76, 8.5 * longest)));
  }

  cell(id, row) {
    const value = row[this.column(id)];
    if (id === "id") return h("span", {}, h("a", { href: `#/run/${row[0]}`, tabIndex: -1 }, String(value)));
    if (id === "name") return h("span", {}, h("a", { href: `#/run/${row[0]}`, title: value, tabIndex: -1 }, value));
    if (id === "status") return status(value);
    if (id === "seconds") return h("span", { className: "right" }, duration(value));
    if (id === "started" || id === "archived") return h("span", { className: "quiet" }, when(value));
    const text = id.startsWith("params.") ? plain(value) : number(value);
    return h("span", { className: (typeof value === "number" ? "right" : "") + (text === "–" ? " none" + (this.right(id) ? " right" : "") : ""), title: typeof value === "string" ? value : "" }, text);
  }

  groupRow(entry) {
    return [h("span"), ...this.shown.map((id) => {
      if (id === "name") return h("b", { className: "label" }, `${title(this.query.group)} = ${entry.group === null ? "–" : entry.group}`);
      if (id === "id") return h("span", { className: "quiet" }, `${entry.members.length}×`);
      if (!isMetric(id) && id !== "seconds") return h("span");
      const index = this.column(id);
      const values = entry.members.map((row) => row[index]).filter((v) => typeof v === "number");
      if (!values.length) return h("span", { className: "right none" }, "–");
      if (id === "seconds") return h("span", { className: "right", title: "mean" }, duration(d3.mean(values)));
      return h("span", { className: "right", title: `mean ± sample standard deviation of ${values.length}` }, meanSd(d3.mean(values), d3.deviation(values)));
    })];
  }

  paint() {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - 8);
    const last = Math.min(this.rows.length, first + Math.ceil(this.scroll.clientHeight / ROW) + 16);
    const key = `${first}-${last}`, fresh = this.painted === null;
    if (this.painted === key) return;
    this.painted = key;
    this.body.style.transform = `translateY(${first * ROW}px)`;
    // Rows that stay in view stay as they are: only those that come into it are made.
    if (fresh) {
      this.nodes = new Map();
      this.body.replaceChildren();
    }
    for (const [i, node] of this.nodes) {
      if (i >= first && i < last) continue;
      node.remove();
      this.nodes.delete(i);
    }
    let before = null;  // the row below the one that is put in
    for (let i = last - 1; i >= first; i--) {
      if (!this.nodes.has(i)) {
        this.nodes.set(i, this.row(i));
        this.body.insertBefore(this.nodes.get(i), before);
      }
      before = this.nodes.get(i);
    }
  }

  row(i) {
    const row = this.rows[i];
    const style = { gridTemplateColumns: this.template }, of = { role: "row", ariaRowIndex: String(i + 2), style };
    if (row.members) return h("div", { className: "tr group", ...of }, ...asCells(this.groupRow(row)));
    return h("div", {
      className: "tr" + (i === this.cursorRow ? " at" : "") + (chosen.has(row[0]) ? " chosen" : ""), ...of,
      onclick: (event) => {
        if (event.target.tagName === "INPUT" || event.target.tagName === "A") return;
        location.hash = `#/run/${row[0]}`;
      },
    }, ...asCells([h("span", {}, h("input", { type: "checkbox", checked: chosen.has(row[0]), ariaLabel: `choose run ${row[0]} for comparison`, onclick: (event) => this.choose(i, event.shiftKey) })),
      ...this.shown.map((id) => this.cell(id, row))]));
  }

  repaint() {
    this.painted = null;
    this.paint();
    this.paintCompare();
  }

  paintCompare() {
    this.compareButton.textContent = chosen.size ? `Compare ${chosen.size}` : this.data.rows.length > MOST ? `Compare the first ${MOST}` : "Compare all";
    this.compareButton.disabled = !this.data.rows.length;
  }

  choose(i, range) {
    const ids = range && this.lastChosen !== undefined
      ? this.rows.slice(Math.min(i, this.lastChosen), Math.max(i, this.lastChosen) + 1).filter((row) => !row.members).map((row) => row[0])
      : [this.rows[i][0]];
    const on = !chosen.has(this.rows[i][0]);
    for (const id of ids) on ? chosen.add(id) : chosen.delete(id);
    this.lastChosen = i;
    this.repaint();
  }

  sort(id) {
    const sort = this.query.sort || "-id";
    this.query.sort = sort === `-${id}` ? id : `-${id}`;
    remember({ sort: this.query.sort });
    this.arrange();
  }

  compare() {
    const shown = this.rows.filter((row) => !row.members).map((row) => row[0]);
    const runs = chosen.size ? [...chosen] : shown.slice(0, MOST);
    location.hash = link("compare", { runs: runs.sort((a, b) => a - b).join(",") });
  }

  pick() {
    pickColumns(this.data, this.shown, (cols, metrics) => {
      location.hash = link("runs", { ...this.query, cols, metrics });
    });
  }

  async filter(where) {
    const latest = this.filtering = Symbol();
    try {
      const data = await json("runs", { ...this.question, where });
      if (latest !== this.filtering) return;
      data.byId = new Map(data.rows.map((row) => [row[0], row]));
      this.data = data;
      this.query.where = where;
      remember({ where });
      this.note.hidden = true;
      this.cursorRow = 0;
      this.scroll.scrollTop = 0;
      this.arrange();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.note.textContent = error.message;
      this.note.hidden = false;
    }
  }

  // Only rows that are new or that were running: the rest cannot have changed.
  async poll() {
    const news = await json("runs", { ...this.question, since: this.data.cursor, watch: this.watch.slice(0, 1000).join(",") });
    if (news.removed !== this.data.removed) return this.load();
    if (!news.rows.length) return;
    if (news.columns.some((id) => !this.data.columns.includes(id))) return this.load();  // a parameter never seen before
    const order = this.data.columns.map((id) => news.columns.indexOf(id));
    for (const row of news.rows) {
      const full = order.map((index) => (index >= 0 ? row[index] : null));
      if (!this.data.byId.has(row[0])) this.data.rows.unshift(full);
      else Object.assign(this.data.byId.get(row[0]), full);
      if (!this.data.byId.has(row[0])) this.data.byId.set(row[0], full);
    }
    this.data.cursor = Math.max(this.data.cursor, news.cursor);
    this.arrange();
  }

  move(by) {
    let i = this.cursorRow + by;
    while (this.rows[i] && this.rows[i].members) i += by;
    if (!this.rows[i]) return;
    this.cursorRow = i;
    const top = i * ROW, view = this.scroll.clientHeight - ROW * 2;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    if (top > this.scroll.scrollTop + view) this.scroll.scrollTop = top - view;
    this.repaint();
  }
}

export async function runsView(at) {
  const runs = new Runs(at);
  await runs.load();
  const stop = again(2, () => runs.poll());
  const open = () => runs.rows[runs.cursorRow] && (location.hash = `#/run/${runs.rows[runs.cursorRow][0]}`);
  return {
    node: runs.node,
    title: "Runs",
    store: runs.data.store,
    shown: () => {
      runs.resize = new ResizeObserver(() => runs.repaint());
      runs.resize.observe(runs.scroll);
      runs.repaint();
    },
    filter: (text) => runs.filter(text),
    keys: { j: () => runs.move(1), k: () => runs.move(-1), ArrowDown: () => runs.move(1), ArrowUp: () => runs.move(-1), Enter: open,
      x: () => runs.choose(runs.cursorRow), c: () => runs.compare() },
    stop: () => {
      stop();
      if (runs.resize) runs.resize.disconnect();
    },
  };
}
