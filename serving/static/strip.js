// The row of figures: counts by status, what needs a person, how old the data is, what flows in.
import * as f from "./format.js";
import { svg } from "./glyphs.js";
import { el, keyed, set } from "./tables.js";

const KEPT = 90; // ticks in the small line
const STATUSES = ["ORDERED", "DEPARTED", "ARRIVED", "CUSTOMS", "DELIVERED", "CANCELLED", "UNKNOWN"];
const ALWAYS = new Set(["ORDERED", "DEPARTED", "DELIVERED"]);

export class Strip {
  constructor(box) {
    this.box = box;
    this.rates = [];
  }

  show(tick, moving) {
    const cells = [...this.statuses(tick), ...this.exceptions(tick), this.ages(tick, moving), this.flow(tick), this.parked(tick)];
    keyed(this.box, cells.filter(Boolean), (c) => c.name, (c) => this.make(c), (node, c) => this.fill(node, c));
  }

  statuses(tick) {
    const by = tick.counts?.by;
    const all = by ? Object.values(by).reduce((a, b) => a + b, 0) : 0;
    const others = Object.keys(by ?? {}).filter((s) => !STATUSES.includes(s));
    return [...STATUSES, ...others].filter((s) => ALWAYS.has(s) || by?.[s]).map((s) => ({
      name: f.word(s),
      figure: by ? f.count(by[s] ?? 0) : "–",
      more: by ? `${f.percent((by[s] ?? 0) / (all || 1))} of ${f.count(all)}` : "not known now",
    }));
  }

  exceptions(tick) {
    const late = tick.late?.total;
    const warm = tick.warm?.total;
    return [
      { name: "Past promise", figure: f.count(late), tone: late ? "bad" : "", more: late ? "▲ not delivered" : "none open" },
      { name: "Above 30 °C", figure: f.count(warm), tone: warm ? "warm" : "", more: warm ? "■ above every label" : "none open" },
    ];
  }

  ages(tick, moving) {
    const held = moving.map((s) => s.age_ms).sort((a, b) => a - b);
    const old = moving.filter((s) => s.state === "stale").length;
    const part = moving.length && moving.length < (tick.moving?.total ?? 0) ? " of those shown" : "";
    return {
      name: "Age of positions",
      figure: held.length ? f.ago(held[held.length >> 1]) : "–",
      unit: held.length ? "median" : "",
      more: held.length ? `oldest ${f.ago(held.at(-1))}${old ? `, ◌ ${f.count(old)} stale` : ""}${part}` : "nothing moves",
    };
  }

  flow(tick) {
    if (!tick.shards) return { name: "Events per second", figure: "–", more: "not known now" };
    const sum = tick.shards.reduce((a, s) => a + s.events_per_s, 0);
    this.rates = [...this.rates, sum].slice(-KEPT);
    return { name: "Events per second", figure: f.rate(sum), rates: this.rates };
  }

  parked(tick) {
    if (!tick.shards) return null;
    const parked = tick.shards.reduce((a, s) => a + (s.outcomes.PARKED ?? 0), 0);
    return { name: "Parked events", figure: f.count(parked), tone: parked ? "warn" : "", more: parked ? "kept until corrected" : "all kept their contract" };
  }

  make(cell) {
    const node = el("div", { class: "cell" }, el("p", { class: "name" }, cell.name), el("p", { class: "figure" }, el("span"), " ", el("small")));
    node.append(cell.rates ? svg("svg", { class: "spark", viewBox: `0 0 ${KEPT - 1} 20`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("polyline", { fill: "none", stroke: "currentColor", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" })) : el("p", { class: "more" }));
    return node;
  }

  fill(node, cell) {
    node.dataset.tone = cell.tone ?? "";
    set(node.children[1].firstChild, cell.figure);
    set(node.children[1].lastChild, cell.unit ?? "");
    const line = node.lastChild;
    if (!line.firstChild || line.tagName === "P") return set(line, cell.more ?? "");
    const most = Math.max(...(cell.rates ?? [0]), 1);
    const start = KEPT - (cell.rates?.length ?? 0);
    line.firstChild.setAttribute("points", (cell.rates ?? []).map((r, i) => `${start + i},${(19 - (r / most) * 17).toFixed(1)}`).join(" "));
  }
}
