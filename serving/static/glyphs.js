// How a shipment looks: shape tells its state, colour only repeats it.
export const CLASSES = {
  course: { name: "on course", tone: "--go", title: "the model expects it by its promise, or there is no prediction" },
  risk: { name: "expected late", tone: "--warn", title: "the model's median arrival is after the promised day" },
  late: { name: "past promise", tone: "--bad", title: "the promised day is over and no delivery is reported" },
  warm: { name: "above 30 °C", tone: "--warm", title: "reported above 30 °C: no product here is allowed more" },
};
const MOST_C = 30;

export function classify(s, today) {
  if (s.temp_c !== null && s.temp_c > MOST_C) return "warm";
  if (s.promised_at && s.promised_at.slice(0, 10) < today) return "late";
  if (s.eta_p50 && s.promised_at && s.eta_p50.slice(0, 10) > s.promised_at.slice(0, 10)) return "risk";
  return "course";
}

// The outline of a class around (0, 0), about `r` in radius; course points to +x.
export function outline(name, r) {
  if (name === "warm") return [[-r, -r], [r, -r], [r, r], [-r, r]].map(([x, y]) => [x * 0.85, y * 0.85]);
  if (name === "late") return [[0, -r * 1.25], [r * 1.15, r * 0.8], [-r * 1.15, r * 0.8]];
  if (name === "risk") return [[0, -r * 1.2], [r * 1.2, 0], [0, r * 1.2], [-r * 1.2, 0]];
  return [[r * 1.35, 0], [-r, -r * 0.8], [-r * 0.5, 0], [-r, r * 0.8]];
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, given, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function icon(name, hollow = false) {
  const points = outline(name, 4.6).map(([x, y]) => `${x + 7},${y + 7}`).join(" ");
  const tone = `var(${CLASSES[name].tone})`;
  const shape = svg("polygon", { points, fill: hollow ? "none" : tone, stroke: tone, "stroke-width": 1.4 });
  return svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, shape);
}
