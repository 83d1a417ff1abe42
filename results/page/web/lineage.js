// Who was forked off whom: the runs that began as one, each along the steps that are its own, after those that it shares.
import { h, json, number } from "./util.js";

const named = (one) => (one.kind === "attempt" ? `#${one.run} attempt` : `#${one.run} ${one.name}`);

// What a run is to another, in words, for the line below its name.
export function relation(run) {
  const link = (id) => h("a", { href: `#/run/${id}` }, `run ${id}`);
  if (run.kind === "attempt" && run.parent) return [" · an attempt that ", link(run.parent), " went on without"];
  if (run.parent) return [" · started by ", link(run.parent)];
  if (!run.origin) return "";
  const { origin, step, uid } = run.origin, change = changes(run.origin);
  return [" · a fork of ", origin ? link(origin) : `a run that this store does not have (${String(uid).slice(0, 8)})`, ` at step ${number(step)}`,
    change ? `, with ${change}` : ""];
}

export function changes(fork) {
  const parts = Object.entries(fork.set).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [...parts, ...(fork.scripts.length ? [`another script, ${fork.scripts.join(", ")}`] : [])].join(", ");
}

// One row a run: its name, and a line from its first own step to its last. Empty where the run has no relatives.
export async function lineage(run) {
  const relatives = run.origin || run.forks.length || run.kind === "attempt" || run.children.some((child) => child.kind === "attempt");
  if (!relatives) return "";
  const family = await json("lineage", { run: run.id });
  if (family.length < 2) return "";
  const last = Math.max(1, ...family.map((one) => one.to ?? 0)), percent = (step) => `${(100 * step / last).toFixed(2)}%`;
  const row = (one) => {
    const from = one.from ?? last, to = one.to ?? from, begins = one.depth ? from : 0;
    const said = one.from === null ? "no steps of its own" : `steps ${number(begins)} to ${number(to)}`;
    return h("li", { className: `${one.kind === "attempt" ? "attempt " : ""}${one.run === run.id ? "this" : ""}`, title: said },
      h("span", { className: "who", style: { paddingLeft: `${14 * Math.min(one.depth, 6)}px` } },
        one.run === run.id ? h("b", { ariaCurrent: "page" }, named(one)) : h("a", { href: `#/run/${one.run}` }, named(one)),
        one.text ? h("span", { className: "quiet" }, ` ${one.text}`) : ""),
      h("span", { className: "track" }, one.depth ? h("i", { className: "shared", style: { left: 0, width: percent(begins) } }) : "",
        h("i", { className: "own", style: { left: percent(begins), width: percent(Math.max(0, to - begins)) } })),
      h("span", { className: "quiet steps" }, said));
  };
  const title = family.some((one) => one.depth && one.kind !== "attempt") ? "Forks" : "Attempts";
  return h("section", { className: "lineage", ariaLabel: title }, h("h2", {}, title), h("ol", {}, family.map(row)));
}
