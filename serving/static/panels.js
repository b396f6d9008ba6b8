// The lists beside the map: exceptions, predictions beside their baseline, shards, and the map's table twin.
import * as f from "./format.js";
import { CLASSES } from "./glyphs.js";
import { el, keyed, mark, set, Table } from "./tables.js";

const STATES = { serving: ["●", "ok"], recovering: ["◐", "warn"], quarantined: ["■", "bad"], away: ["○", "bad"] };
const GLYPHS = { course: "➤", risk: "◆", late: "▲", warm: "■" };
const $ = (id) => document.getElementById(id);
const key = (s) => `${s.region}/${s.id}`;

export class Panels {
  constructor(siteName, open) {
    this.siteName = siteName;
    this.open = open;
    const to = (s) => ({ text: this.place(s), title: s.site ?? undefined });
    this.moving = new Table($("view-table"), "Shipments in motion: the same rows as the map", [
      { name: "Shipment", opens: true, cell: (s) => s.id },
      { name: "State", cell: (s) => ({ text: `${GLYPHS[s.class]} ${CLASSES[s.class].name}`, tone: { risk: "warn", late: "bad", warm: "warm" }[s.class] }) },
      { name: "To", cell: to },
      { name: "By", cell: (s) => f.MODES[s.mode] ?? "–" },
      { name: "Promised", cell: (s) => f.day(s.promised_at) },
      { name: "Expected", title: "the model's median", cell: (s) => f.day(s.eta_p50) },
      { name: "Lat, lon", num: true, title: "degrees, WGS 84", cell: (s) => `${s.lat.toFixed(2)}, ${s.lon.toFixed(2)}` },
      { name: "°C", num: true, cell: (s) => (s.temp_c === null ? "–" : s.temp_c.toFixed(1)) },
      { name: "Position age", num: true, cell: (s) => ({ text: `${s.state === "stale" ? "◌ stale, " : ""}${f.ago(s.age_ms)}`, tone: s.state === "stale" ? "warn" : undefined }) },
      { name: "Conf.", num: true, title: "confidence, 0 to 1", cell: (s) => s.confidence.toFixed(2) },
      { name: "Source", cell: (s) => f.short(s.source) },
    ], key, open);
    this.etas = new Table($("etas"), "Predictions beside the lane baseline, most likely late first", [
      { name: "Shipment", opens: true, cell: (s) => ({ text: s.id, second: f.country(s.country) }) },
      { name: "Promised", cell: (s) => ({ text: f.shortDay(s.promised_at), second: "" }) },
      { name: "Model", title: "median, and the days that hold 80 %", cell: (s) => ({ text: f.shortDay(s.eta_p50), second: `${f.shortDay(s.eta_p10)} – ${f.shortDay(s.eta_p90)}` }) },
      { name: "Lane", title: "the lane's median delay added to the promise: the plain baseline", cell: (s) => ({ text: f.shortDay(s.eta_baseline), second: this.gap(s) }) },
      { name: "Late?", num: true, title: "chance to arrive past promise", cell: (s) => ({ text: f.percent(s.late_p), second: `${f.ago(s.age_ms)} old`, title: `${s.source}, confidence ${s.confidence}` }) },
    ], key, open);
    this.shards = new Table($("shards"), "Shards: the one writer of each part", [
      { name: "Shard", cell: (s) => ({ text: s.name, title: `pid ${s.pid}, ${s.address}` }) },
      { name: "State", cell: (s) => ({ text: `${(STATES[s.state] ?? ["▲"])[0]} ${s.state}`, tone: (STATES[s.state] ?? ["", "bad"])[1] }) },
      { name: "Epoch", num: true, cell: (s) => f.count(s.epoch) },
      { name: "Twins", num: true, cell: (s) => f.count(Object.values(s.twins).reduce((a, b) => a + b, 0)) },
      { name: "Events/s", num: true, cell: (s) => f.rate(s.events_per_s) },
      { name: "Memory", num: true, cell: (s) => f.bytes(s.memory_bytes) },
      { name: "Queue", num: true, title: "waiting, of at most so many", cell: (s) => ({ text: `${f.count(s.queue)} / ${f.count(s.queue_bound)}`, bar: s.queue / (s.queue_bound || 1) }) },
      { name: "Headroom", num: true, title: "times the present load it could take", cell: (s) => (s.headroom ? `${f.few(s.headroom)}×` : "–") },
      { name: "Offset", num: true, cell: (s) => f.count(s.offset) },
      { name: "Checkpoint", num: true, title: "its offset, and how many events a recovery would replay", cell: (s) => `${f.count(s.checkpoint_offset)} (−${f.count(s.offset - s.checkpoint_offset)})` },
      { name: "fsync p99", num: true, cell: (s) => (s.fsync_p99_ms ? `${f.few(s.fsync_p99_ms)} ms` : "–") },
      { name: "Newest fact", num: true, title: "how old the newest fact is by the twin's clock", cell: (s) => `${f.age(s.newest_as_of, this.now)}` },
    ], (s) => s.name, () => {});
    this.cases = el("div");
    this.calm = el("p", { class: "empty", hidden: "" }, "Nothing is past its promise and nothing is too warm.");
    $("late").append(this.cases, this.calm);
  }

  show(tick, moving, current) {
    this.now = tick.now ?? this.now;
    if (tick.moving) this.moving.show(moving, "Nothing moves.", current);
    if (tick.predicted) this.etas.show(f.records(tick.predicted), "No prediction yet: the model joins later.", current);
    if (tick.shards) this.shards.show(tick.shards, "No shard is known.");
    if (tick.late || tick.warm) this.showCases(tick, current);
    set($("map-shown"), f.shown(tick.moving, "with a position"));
    set($("eta-shown"), tick.predicted ? `${f.shown(tick.predicted, "open")}${this.by(tick.predicted)}` : "not known now");
    set($("late-shown"), [tick.late && f.shown(tick.late, "past promise"), tick.warm && f.shown(tick.warm, "too warm")].filter(Boolean).join(", ") || "not known now");
    if (tick.shards) this.showOutcomes(tick.shards);
    else set($("shard-shown"), "last known; nobody answers now");
  }

  showCases(tick, current) {
    const warm = f.records(tick.warm).map((s) => ({ ...s, why: "warm" }));
    const late = f.records(tick.late).map((s) => ({ ...s, why: "late" }));
    const rows = [...warm, ...late];
    this.calm.hidden = rows.length > 0;
    keyed(this.cases, rows, (s) => `${s.why}/${key(s)}`, () => this.makeCase(), (node, s) => this.fillCase(node, s, current));
  }

  makeCase() {
    const node = el("button", { type: "button", class: "case", on: () => this.open(node.row) },
      el("span", { class: "what" }), el("span", { class: "who" }, el("b"), " ", el("span")), el("span", { class: "when" }), el("span", { class: "line" }));
    return node;
  }

  fillCase(node, s, current) {
    node.row = s;
    mark(node, key(s) === current);
    const [what, who, when, line] = node.children;
    const behind = f.daysBehind(s.promised_at, this.now);
    set(what, s.why === "warm" ? `■ ${s.temp_c.toFixed(1)} °C` : `▲ ${behind} d late`);
    what.dataset.tone = s.why === "warm" ? "warm" : "bad";
    set(who.firstChild, s.id);
    set(who.lastChild, `to ${this.place(s)}`);
    set(when, s.why === "warm" ? `read ${f.ago(s.age_ms)} ago` : `promised ${f.shortDay(s.promised_at)}`);
    const told = [s.product_group, s.supplier, s.why === "late" && s.eta_p50 ? `model expects ${f.shortDay(s.eta_p50)}` : null];
    set(line, `${told.filter(Boolean).join(" · ")} · ${f.short(s.source)}${s.why === "late" ? `, ${f.ago(s.age_ms)} old` : ""}`);
  }

  showOutcomes(shards) {
    const sum = (name) => shards.reduce((a, s) => a + (s.outcomes[name] ?? 0), 0);
    const memory = shards.reduce((a, s) => a + s.memory_bytes, 0);
    const serving = shards.filter((s) => s.state === "serving").length;
    set($("shard-shown"), `${serving} of ${shards.length} serving, ${f.bytes(memory)}`);
    const words = ["APPLIED", "SUPERSEDED", "DUPLICATE", "PARKED", "REJECTED"];
    set($("outcomes"), `every event: ${words.map((w) => `${f.count(sum(w))} ${w.toLowerCase()}`).join(" · ")}`);
  }

  place(s) {
    return this.siteName(s.site) ?? f.country(s.country);
  }

  by(part) {
    const sources = [...new Set(f.records(part).map((s) => s.source))];
    return sources.length ? `, by ${sources.map(f.short).join(", ")}` : "";
  }

  gap(s) {
    if (!s.eta_baseline) return "";
    const days = f.daysBehind(s.eta_baseline, s.eta_p50);
    return days === 0 ? "same day" : `model ${days > 0 ? "+" : "−"}${Math.abs(days)} d`;
  }
}
