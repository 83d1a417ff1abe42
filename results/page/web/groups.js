// The tables of a comparison: what the groups came to, which is better than a baseline, and what differs between them. `view` is the comparison
// (compare.js).
import { h, number, plain, meanSd, color, select, wide } from "./util.js";

const WAYS = { higher: " ↑", lower: " ↓", null: " ?" };
export const label = (group) => Object.values(group.label).map((v) => plain(v)).join(" · ") || "all";

export function groupTable(view) {
  const { by, metrics } = view.compared;
  const cell = (s, total) => h("td", { className: "right" }, typeof s.mean === "number" ? meanSd(s.mean, s.sd) : "–",
    s.n === total ? "" : h("span", { className: "quiet" }, ` ${s.n} of ${total}`));
  const leader = new Map(metrics.map((m) => {
    const means = view.groups.map((g) => g.metrics[m.key].last.mean).filter((v) => typeof v === "number");
    return [m.key, new Set(means).size > 1 ? m.better && (m.better === "lower" ? d3.min(means) : d3.max(means)) : undefined];
  }));
  const curve = (m) => m.better && view.groups.some((g) => g.metrics[m.key].curve);
  return wide("Groups", h("table", { className: "plain" },
    h("thead", {}, h("tr", {}, h("td"), by.map((column) => h("th", {}, column)), h("th", { className: "right" }, "runs"),
      metrics.map((m) => [h("th", { className: "right", title: m.better ? `${m.better} is better${m.source === "said" ? "" : ", by its name"}` : `which way is better? gradus better ${m.key} higher (or lower) says it` }, m.key.replace("result/", "") + (curve(m) ? " last" : ""), WAYS[m.better]),
        curve(m) ? h("th", { className: "right" }, "best") : null]))),
    h("tbody", {}, view.groups.map((g, i) => h("tr", {}, h("td", {}, h("i", { className: "dot", style: { background: color(i) } })),
      by.map((column) => h("td", {}, plain(g.label[column]))), h("td", { className: "right", title: g.lost.map((r) => `run ${r.run}, seed ${r.seed}: ${r.status} ${r.error || ""}`).join("\n") },
        g.n === g.total ? g.n : `${g.n} of ${g.total}`),
      metrics.map((m) => {
        const td = cell(g.metrics[m.key].last, g.total);
        if (m.better && g.metrics[m.key].last.mean === leader.get(m.key)) td.classList.add("best");
        return [td, curve(m) ? cell(g.metrics[m.key].best, g.total) : null];
      }))))), h("p", { className: "quiet note" }, "mean ± sample standard deviation over runs; k of n: the others failed, were interrupted, or came to no finite value"));
}

function lostPairs(r) {
  const { group, baseline, both } = r.lost, seeds = r.pairs + group + baseline + both;
  return [[group, ""], [baseline, " of the baseline"], [both, " of both"]].filter(([k]) => k)
    .map(([k, whose]) => h("span", { className: "quiet" }, `; ${k} of ${seeds}${whose} lost`));
}

// Is a group better than the baseline, by how much, how sure? Over the runs that share a seed.
export function versusTable(view) {
  if (view.groups.length < 2) return "";
  const column = view.compared.by[0];
  const values = [...new Set(view.groups.map((g) => `${column}=${g.label[column] ?? "–"}`))];  // not rounded: the server looks for it
  const pick = select("against the baseline ", ["", ...values], view.query.versus || "", (versus) => { view.set({ versus }); view.load(); });
  if (!view.compared.versus) return h("p", {}, pick);
  const rows = view.compared.versus.comparisons;
  const p = (v) => (typeof v !== "number" ? "–" : v < 0.001 ? "< 0.001" : v.toFixed(3));
  return [h("p", {}, pick), wide("Against the baseline", h("table", { className: "plain" },
    h("thead", {}, h("tr", {}, ["group", "metric", "", "pairs", "difference", "95 % interval", "p (Holm)", "seeds for 80 % power", ""].map((t, i) => h(t ? "th" : "td", { className: i > 2 && i < 8 ? "right" : "" }, t)))),
    h("tbody", {}, rows.map((r) => h("tr", {}, h("td", {}, h("i", { className: "dot", style: { background: color(r.group) } }), label(view.groups[r.group])),
      h("td", {}, r.metric.replace("result/", "")), h("td", { className: "quiet" }, r.measure), h("td", { className: "right" }, r.pairs),
      h("td", { className: "right" }, number(r.mean)), h("td", { className: "right" }, typeof r.low === "number" ? `${number(r.low)} … ${number(r.high)}` : "–"),
      h("td", { className: "right" }, p(r.p_holm)), h("td", { className: "right" }, r.seeds_needed ?? "–"),
      h("td", { className: `verdict ${r.verdict}` }, r.verdict, lostPairs(r))))))),
  h("p", { className: "quiet note" }, "Paired over shared seeds; interval by Student's t; p corrected over the groups (Holm).")];
}

export function differences(view) {
  const ids = [...view.varying(), ...["config", "git_commit", "device", "name"].filter((id) => new Set(view.rows.map((row) => view.value(row, id))).size > 1)];
  if (!ids.length) return h("p", { className: "quiet" }, "Only the seed.");
  if (view.groups.length > 12) return h("table", { className: "plain" }, ids.map((id) => {
    const values = [...new Set(view.rows.map((row) => view.value(row, id)))].sort((a, b) => (a > b ? 1 : -1));
    return h("tr", {}, h("th", {}, id.replace("params.", "")), h("td", { className: "right" }, values.length),
      h("td", {}, values.length > 6 ? `${plain(values[0])} … ${plain(values[values.length - 1])}` : values.map(plain).join(", ")));
  }));
  return wide("What differs", h("table", { className: "plain" },
    h("thead", {}, h("tr", {}, h("td"), view.groups.map((g, i) => h("th", {}, h("i", { className: "dot", style: { background: color(i) } }), label(g))))),
    h("tbody", {}, ids.map((id) => h("tr", {}, h("th", {}, id.replace("params.", "")), view.groups.map((g) => {
      const members = view.rows.filter((row) => g.runs.includes(row[0]));
      const values = [...new Set(members.map((row) => plain(view.value(row, id)).slice(0, 24)))];
      return h("td", {}, values.slice(0, 4).join(", ") + (values.length > 4 ? ` … (${values.length})` : ""));
    }))))));
}
