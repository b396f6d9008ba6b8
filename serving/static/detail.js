// One shipment: where it stands, the model beside the baseline, and every value with where it is from.
import * as f from "./format.js";
import { svg } from "./glyphs.js";
import { el } from "./tables.js";

const EVERY_MS = 4000;
const LABELS = {
  ordered_at: "Ordered", promised_at: "Promised", departed_at: "Departed", delivered_at: "Delivered",
  recorded_at: "Recorded", product_group: "Product group", value_cents: "Value", lat: "Latitude", lon: "Longitude",
  temp_c: "Temperature", eta_p10: "ETA, 10 %", eta_p50: "ETA, median", eta_p90: "ETA, 90 %",
  eta_baseline: "ETA, lane baseline", late_p: "Chance to be late", on_time: "On time",
};

export class Detail {
  constructor(panel, board, { siteName, onClose, onLost }) {
    Object.assign(this, { panel, board, siteName, onClose, onLost });
    this.key = null;
    this.title = el("h2", { id: "detail-title" });
    this.close = el("button", { type: "button", on: () => onClose() }, "Close");
    this.body = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All values" });
    panel.append(el("div", { class: "panel-head" }, this.title, el("span", { class: "grow" }), this.close), this.body);
    panel.addEventListener("keydown", (e) => e.key === "Escape" && onClose());
    setInterval(() => this.key && !document.hidden && !this.paused && this.load(), EVERY_MS);
  }

  async show(key) {
    const fresh = key !== this.key;
    this.key = key;
    this.panel.hidden = !key;
    this.board.classList.toggle("with-detail", Boolean(key));
    if (!key || !fresh) return;
    this.title.textContent = `Shipment ${key.slice(key.indexOf("/") + 1)}`;
    this.body.replaceChildren(el("p", { class: "empty" }, "Asking its shard …"));
    this.panel.focus({ preventScroll: true });
    await this.load();
  }

  async load() {
    const key = this.key;
    const [region, id] = [key.slice(0, key.indexOf("/")), key.slice(key.indexOf("/") + 1)];
    const path = `/v1/shipments/${encodeURIComponent(id)}?region=${encodeURIComponent(region)}`;
    try {
      const answer = await fetch(path);
      const told = await answer.json();
      if (this.key !== key) return;
      if (answer.ok) this.fill(told, path);
      else if (answer.status === 401) this.onLost();
      else this.refuse(`${told.code}: ${told.detail}`);
    } catch {
      this.refuse("No answer from the gateway; what is shown is the last that was heard.");
    }
  }

  refuse(text) {
    this.fault?.remove();
    this.fault = el("p", { class: "empty", "data-tone": "bad", role: "alert" }, `▲ ${text}`);
    this.body.prepend(this.fault);
  }

  fill(twin, path) {
    const { values: v, now } = twin;
    const scrolled = this.body.scrollTop;
    const bare = (name) => v[name]?.time ?? v[name]?.text ?? v[name]?.number ?? null;
    const place = `${this.siteName(bare("site")) ?? f.country(bare("country"))}`;
    const status = v.status;
    const lead = el("div", { class: "lead" },
      el("p", { class: "state" }, f.word(bare("status")), el("span", { class: "dim" }, ` → ${place}`)),
      el("p", { class: "dim" }, `${twin.region} · ${[bare("product"), bare("mode") && f.MODES[bare("mode")]].filter(Boolean).join(" · ")}`),
      el("p", { class: "dim" }, status ? `status ${f.age(status.as_of, now)} old, from ${f.short(status.source)}` : "no status known"));
    this.body.replaceChildren(lead, ...this.eta(bare, v, now), this.table(twin),
      el("p", { class: "empty" }, `State as of ${twin.shard}, offset ${f.count(twin.offset)}, epoch ${twin.epoch}. `, el("a", { href: path }, "As JSON")));
    this.body.scrollTop = scrolled;
  }

  eta(bare, v, now) {
    const marks = [["promised", bare("promised_at")], ["lane", bare("eta_baseline")], ["model", bare("eta_p50")], ["delivered", bare("delivered_at")]];
    if (!marks.some(([, at]) => at)) return [];
    const rows = [["Promised", f.day(bare("promised_at"))]];
    if (bare("eta_p50")) {
      const gap = f.daysBehind(bare("eta_baseline"), bare("eta_p50"));
      rows.push(["Model", `${f.day(bare("eta_p50"))}, 80 % within ${f.shortDay(bare("eta_p10"))} – ${f.shortDay(bare("eta_p90"))} (${f.short(v.eta_p50.source)})`]);
      rows.push(["Lane baseline", `${f.day(bare("eta_baseline"))}; the model says ${gap === 0 ? "the same day" : `${Math.abs(gap)} d ${gap > 0 ? "later" : "earlier"}`}`]);
      rows.push(["Chance to be late", `${f.percent(v.late_p?.number)}, prediction ${f.age(v.eta_p50.as_of, now)} old`]);
    } else rows.push(["Model", "no prediction yet"]);
    if (bare("delivered_at")) rows.push(["Delivered", f.day(bare("delivered_at"))]);
    const list = el("dl", { class: "eta" }, ...rows.flatMap(([a, b]) => [el("dt", {}, a), el("dd", {}, b)]));
    return [this.drawing(marks, bare, now), list];
  }

  drawing(marks, bare, now) {
    const low = bare("eta_p10");
    const times = [...marks.map(([, at]) => at), low, bare("eta_p90"), now].filter(Boolean).map(f.time);
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const x = (at) => 34 + ((f.time(at) - first) / (last - first || 1)) * 340;
    const parts = [svg("line", { x1: 20, x2: 388, y1: 46, y2: 46, stroke: "var(--line)", "stroke-width": 2 })];
    if (low) parts.push(svg("rect", { x: x(low), width: Math.max(2, x(bare("eta_p90")) - x(low)), y: 40, height: 12, rx: 6, fill: "var(--go)", opacity: 0.35 }));
    const words = []; // above all lines
    const tick = (at, label, y, strong, tone, from, to) => {
      parts.push(svg("line", { x1: x(at), x2: x(at), y1: from, y2: to, stroke: tone, "stroke-width": strong ? 2.5 : 1.5 }));
      const anchor = x(at) > 330 ? "end" : x(at) < 80 ? "start" : "middle";
      words.push(svg("text", { x: x(at), y, "text-anchor": anchor, class: strong ? "strong" : "" }, label));
    };
    const [promised, lane, model, delivered] = marks.map(([, at]) => at);
    if (promised) tick(promised, `promised ${f.shortDay(promised)}`, 12, false, "var(--text)", 16, 52);
    if (lane) tick(lane, `lane ${f.shortDay(lane)}`, 28, false, "var(--dim)", 32, 52);
    if (model) tick(model, `model ${f.shortDay(model)}`, 69, true, "var(--go)", 36, 57);
    tick(delivered ?? now, delivered ? `delivered ${f.shortDay(delivered)}` : `now ${f.shortDay(now)}`, 86, false, "var(--warn)", 44, 76);
    return svg("svg", { class: "figure-eta", viewBox: "0 0 408 92", role: "img", "aria-label": "Promise, model and lane baseline on a line of time; the list below says the same" }, ...parts, ...words);
  }

  table(twin) {
    const groups = new Map();
    for (const [name, value] of Object.entries(twin.values)) {
      const told = [value.as_of, value.source, value.confidence, value.state, value.offset].join("|");
      groups.set(told, [...(groups.get(told) ?? []), [name, value]]);
    }
    const newest = [...groups.values()].sort((a, b) => f.time(b[0][1].as_of) - f.time(a[0][1].as_of));
    const body = el("tbody");
    for (const group of newest) {
      const { as_of, source, confidence, state, offset } = group[0][1];
      const glyph = state === "stale" ? "◌" : "●";
      const head = el("th", { colspan: "2", scope: "rowgroup" },
        el("span", { "data-tone": state === "stale" ? "warn" : "ok" }, `${glyph} ${state}`),
        ` · ${f.age(as_of, twin.now)} old · as of ${f.moment(as_of)} · ${source} · confidence ${confidence.toFixed(2)} · offset ${f.count(offset)}`);
      if (f.synthetic(source)) head.append(" ", el("span", { class: "tag" }, "synthetic"));
      body.append(el("tr", { class: "group" }, head));
      for (const [name, value] of group) body.append(el("tr", {}, el("th", { scope: "row" }, LABELS[name] ?? f.word(name)), el("td", {}, this.text(name, value))));
    }
    return el("table", { class: "values" }, el("caption", { class: "skip" }, "All values, newest first, each group with its age, source and confidence"), body);
  }

  text(name, value) {
    if (value.time !== undefined) return f.moment(value.time);
    if (name === "value_cents") return `${f.count(value.integer / 100)} USD`;
    if (name === "late_p") return f.percent(value.number);
    if (name === "country") return `${f.country(value.text)} (${value.text})`;
    if (value.number !== undefined) return `${Math.round(value.number * 1000) / 1000} ${{ deg: "°", degC: "°C", 1: "" }[value.unit] ?? value.unit}`;
    if (value.integer !== undefined) return `${f.count(value.integer)} ${value.unit}${value.unit === "pack" && value.integer !== 1 ? "s" : ""}`;
    if (value.flag !== undefined) return value.flag ? "yes" : "no";
    return value.text ?? "–";
  }
}
