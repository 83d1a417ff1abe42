import { h } from "./util.js";

// Enough of Lua's look to read a script: comments, strings, keywords, numbers.
export function lua(text) {
  const token = /(--\[\[[\s\S]*?\]\]|--[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\b(local|function|end|if|then|else|elseif|for|while|do|repeat|until|return|in|and|or|not|nil|true|false|break)\b|\b(\d[\w.]*)/g;
  const out = [];
  let at = 0;
  for (const match of text.matchAll(token)) {
    out.push(text.slice(at, match.index));
    const kind = match[1] ? "c" : match[2] ? "s" : match[3] ? "k" : "n";
    out.push(h("span", { className: kind }, match[0]));
    at = match.index + match[0].length;
  }
  out.push(text.slice(at));
  return out;
}
