// A figure that the reader takes away: as SVG, as PNG, and its numbers as CSV.
import { h } from "./util.js";

// Gives the reader a file.
function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name.replaceAll(/[^\w.-]+/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// An SVG as XML: as HTML a name's fixed space would be an entity that XML does not know, and a control character is none of its signs.
// The style as text: in this document it is refused (Content-Security-Policy).
export function standalone(svg, style) {
  return new XMLSerializer().serializeToString(svg).replaceAll(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, " ").replace(">", `><style>${style}</style>`);
}

// Twice as many points as on the screen, for paper.
async function png(svg, width, height) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = h("canvas", { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done));
}

export const csvRow = (cells) => cells.map((cell) => (/[",\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(",");

// The three buttons of a figure: { name, width(), height(), svg() and csv(), texts, ready(): whether it is drawn }.
export function saveButtons({ name, width, height, svg, csv, ready }) {
  const called = name || "figure", button = (kind, title, take) => h("button", { type: "button", className: "plain", title, onclick: () => ready() && take() }, kind);
  return [button("svg", "Save the figure as SVG", () => save(`${called}.svg`, "image/svg+xml", svg())),
    button("png", "Save the figure as PNG", async () => save(`${called}.png`, "image/png", await png(svg(), width(), height()))),
    button("csv", "Save the points that are drawn as CSV", () => save(`${called}.csv`, "text/csv", csv()))];
}
