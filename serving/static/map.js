// The map: land, sites, shipments and their way to go. It draws what was reported; it never guesses ahead.
import { arc, project } from "./projection.js";
import { CLASSES, outline } from "./glyphs.js";

const TRAIL = 5; // reported positions kept per shipment
const EASE_MS = 700; // drawn between two reports, so that the eye can follow
const CLOSEST = 40;
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

export class WorldMap {
  constructor(canvas, { onHover, onPick }) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.base = document.createElement("canvas");
    this.rings = [];
    this.sites = [];
    this.shipments = new Map();
    this.picked = null;
    this.hovered = null;
    this.view = null; // {x, y, k}: centre in projected units, pixels per unit
    this.moved = false; // by the user: then it no longer follows the data
    this.onHover = onHover;
    this.onPick = onPick;
    new ResizeObserver(() => this.resize()).observe(canvas);
    for (const query of [window.matchMedia("(prefers-color-scheme: dark)"), still]) query.addEventListener("change", () => this.restyle());
    this.restyle();
    this.listen();
  }

  land(rings) {
    this.rings = rings.filter((ring) => Math.max(...ring.map((p) => p[1])) > -60);
    this.stale();
  }

  setSites(sites) {
    this.sites = sites.map((s) => ({ ...s, kind: "site", at: project(s.lon, s.lat) }));
    this.places = new Map(this.sites.map((s) => [s.id, s]));
    if (!this.moved) this.fit();
    this.stale();
  }

  setShipments(rows) {
    const seen = new Set();
    for (const row of rows) {
      const key = `${row.region}/${row.id}`;
      const known = this.shipments.get(key);
      const at = project(row.lon, row.lat);
      const one = known ?? { kind: "shipment", key, trail: [], from: at };
      seen.add(key);
      if (known && (known.at[0] !== at[0] || known.at[1] !== at[1])) {
        one.from = known.at;
        one.trail = [...known.trail, known.at].slice(-TRAIL);
      } else one.from = at;
      Object.assign(one, { row, at, to: this.places?.get(row.site) });
      one.heading = this.heading(one);
      this.shipments.set(key, one);
    }
    for (const key of this.shipments.keys()) if (!seen.has(key)) this.shipments.delete(key);
    if (!this.moved && !this.framed && rows.length && this.sites.length) {
      this.framed = true;
      this.fit();
    }
    this.began = performance.now();
    this.draw();
  }

  heading(one) {
    const last = one.trail.at(-1) ?? null;
    const [a, b] = last ? [last, one.at] : [one.at, one.to?.at ?? one.at];
    return Math.atan2(b[1] - a[1], b[0] - a[0]);
  }

  pick(key) {
    this.picked = key;
    this.draw();
  }

  fit() {
    this.moved = false;
    const points = [...this.sites, ...this.shipments.values()].map((one) => one.at);
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!w || !h) return;
    const corners = points.length > 1 ? points : [project(-170, 70), project(170, -50)];
    const xs = corners.map((p) => p[0]);
    const ys = corners.map((p) => p[1]);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const k = Math.min((w - 70) / (right - left || 1), (h - 56) / (bottom - top || 1), (Math.max(w, h) / 5.4) * 4);
    this.view = { x: (left + right) / 2, y: (top + bottom) / 2, k };
    this.stale();
  }

  zoom(factor, at = null) {
    if (!this.view) return;
    const least = Math.min(this.canvas.clientWidth / 5.6, this.canvas.clientHeight / 2.7);
    const k = Math.min(least * CLOSEST, Math.max(least, this.view.k * factor));
    if (at) {
      const [x, y] = [(at[0] - this.canvas.clientWidth / 2) / this.view.k, (at[1] - this.canvas.clientHeight / 2) / this.view.k];
      this.view.x += x - (x * this.view.k) / k;
      this.view.y += y - (y * this.view.k) / k;
    }
    this.view.k = k;
    this.moved = true;
    this.stale();
  }

  pan(dx, dy) {
    if (!this.view) return;
    this.view.x = Math.min(2.8, Math.max(-2.8, this.view.x - dx / this.view.k));
    this.view.y = Math.min(1.35, Math.max(-1.35, this.view.y - dy / this.view.k));
    this.moved = true;
    this.stale();
  }

  listen() {
    const { canvas } = this;
    let held = null;
    const spot = (e) => [e.offsetX, e.offsetY];
    canvas.addEventListener("pointerdown", (e) => (held = { at: spot(e), far: 0 }));
    canvas.addEventListener("pointermove", (e) => {
      if (held && e.buttons) {
        const [x, y] = spot(e);
        held.far += Math.abs(x - held.at[0]) + Math.abs(y - held.at[1]);
        if (held.far > 4) {
          canvas.classList.add("drag");
          if (!canvas.hasPointerCapture(e.pointerId)) canvas.setPointerCapture(e.pointerId);
          this.pan(x - held.at[0], y - held.at[1]);
        }
        held.at = [x, y];
      } else this.hover(this.near(spot(e)), spot(e));
    });
    canvas.addEventListener("pointerup", (e) => {
      canvas.classList.remove("drag");
      const hit = held && held.far <= 4 ? this.near(spot(e)) : null;
      held = null;
      if (hit?.kind === "shipment") this.onPick(hit.row);
    });
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.metaKey && document.activeElement !== canvas) return; // the page scrolls
      e.preventDefault();
      this.zoom(e.deltaY < 0 ? 1.2 : 1 / 1.2, spot(e));
    }, { passive: false });
    canvas.addEventListener("dblclick", (e) => this.zoom(1.8, spot(e)));
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    canvas.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      if (step[e.key]) this.pan(...step[e.key]);
      else if (e.key === "+" || e.key === "=") this.zoom(1.4);
      else if (e.key === "-") this.zoom(1 / 1.4);
      else if (e.key === "0") this.fit();
      else return;
      e.preventDefault();
    });
  }

  hover(one, at) {
    if (one !== this.hovered) {
      this.hovered = one;
      this.canvas.classList.toggle("hit", Boolean(one));
      this.draw();
    }
    this.onHover(one, at);
  }

  near([x, y]) {
    let [best, least] = [null, 11 ** 2];
    for (const one of [...this.sites, ...this.shipments.values()]) {
      const [px, py] = this.pixel(one.at);
      const far = (px - x) ** 2 + (py - y) ** 2 + (one.kind === "site" ? 16 : 0);
      if (far < least) [best, least] = [one, far];
    }
    return best;
  }

  pixel([x, y]) {
    const { canvas, view } = this;
    return [(x - view.x) * view.k + canvas.clientWidth / 2, (y - view.y) * view.k + canvas.clientHeight / 2];
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!w || !h) return;
    for (const one of [this.canvas, this.base]) [one.width, one.height] = [w * ratio, h * ratio];
    if (!this.moved) this.fit();
    this.stale();
  }

  restyle() {
    const style = getComputedStyle(document.documentElement);
    this.tone = (name) => style.getPropertyValue(name).trim();
    this.stale();
  }

  stale() {
    this.dirty = true;
    this.draw();
  }

  draw() {
    if (this.queued) return;
    this.queued = requestAnimationFrame(() => {
      this.queued = 0;
      if (!this.view || !this.canvas.width) return;
      if (this.dirty) this.drawBase();
      const share = still.matches || !this.began ? 1 : Math.min(1, (performance.now() - this.began) / EASE_MS);
      this.drawMoving(1 - (1 - share) ** 3);
      if (share < 1) this.draw();
    });
  }

  drawBase() {
    this.dirty = false;
    const pen = this.base.getContext("2d");
    const ratio = this.canvas.width / this.canvas.clientWidth;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = this.tone("--sea");
    pen.fillRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    pen.lineWidth = 0.75;
    pen.strokeStyle = this.tone("--coast");
    pen.fillStyle = this.tone("--land");
    for (const ring of this.rings) {
      this.path(pen, ring.map(([lon, lat]) => project(lon, lat)));
      pen.fill();
      pen.stroke();
    }
    for (const site of this.sites) this.drawSite(pen, site, false);
    if (this.view.k > this.canvas.clientWidth / 1.6) for (const site of this.sites) this.label(pen, site.at, site.name);
  }

  drawMoving(share) {
    const { pen } = this;
    const ratio = this.canvas.width / this.canvas.clientWidth;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.drawImage(this.base, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const all = [...this.shipments.values()];
    const leg = this.tone("--leg");
    pen.lineWidth = 1;
    pen.strokeStyle = `rgba(${leg}, 0.10)`;
    for (const one of all) if (one.to) this.way(pen, one);
    pen.strokeStyle = `rgba(${leg}, 0.42)`;
    for (const one of all) {
      if (!one.trail.length) continue;
      this.path(pen, [...one.trail, this.between(one, share)]);
      pen.stroke();
    }
    const order = Object.keys(CLASSES);
    all.sort((a, b) => order.indexOf(a.row.class) - order.indexOf(b.row.class));
    for (const one of all) this.drawShipment(pen, one, share);
    for (const one of [this.hovered, this.shipments.get(this.picked)]) if (one) this.drawMarked(pen, one, share);
  }

  drawMarked(pen, one, share) {
    if (one.kind === "site") {
      this.drawSite(pen, one, true);
      return;
    }
    pen.strokeStyle = this.tone("--text");
    pen.lineWidth = 1.4;
    pen.setLineDash([4, 4]);
    if (one.to) this.way(pen, one);
    pen.setLineDash([]);
    const [x, y] = this.pixel(this.between(one, share));
    pen.beginPath();
    pen.arc(x, y, 10, 0, 7);
    pen.stroke();
    this.drawShipment(pen, one, share, 5.4);
    if (one.to) this.label(pen, one.to.at, one.to.name);
  }

  drawShipment(pen, one, share, size = 3.7) {
    const [x, y] = this.pixel(this.between(one, share));
    const turn = one.row.class === "course" ? one.heading : 0;
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    pen.beginPath();
    for (const [px, py] of outline(one.row.class, size)) pen.lineTo(x + px * c - py * s, y + px * s + py * c);
    pen.closePath();
    const hollow = one.row.state === "stale";
    pen.lineWidth = hollow ? 1.4 : 0.8;
    pen.fillStyle = this.tone(hollow ? "--sea" : CLASSES[one.row.class].tone);
    pen.strokeStyle = this.tone(hollow ? CLASSES[one.row.class].tone : "--sea");
    pen.fill();
    pen.stroke();
  }

  drawSite(pen, site, marked) {
    const [x, y] = this.pixel(site.at);
    const r = marked ? 4 : 2.4;
    pen.fillStyle = this.tone("--sea");
    pen.strokeStyle = this.tone("--site");
    pen.lineWidth = marked ? 2 : 1.3;
    pen.fillRect(x - r, y - r, 2 * r, 2 * r);
    pen.strokeRect(x - r, y - r, 2 * r, 2 * r);
    if (marked) this.label(pen, site.at, site.name);
  }

  label(pen, at, text) {
    const [x, y] = this.pixel(at);
    pen.font = `500 11px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "middle";
    pen.lineWidth = 3;
    pen.strokeStyle = this.tone("--sea");
    pen.fillStyle = this.tone("--text");
    pen.strokeText(text, x + 8, y);
    pen.fillText(text, x + 8, y);
  }

  way(pen, one) {
    const [a, b] = [[one.row.lon, one.row.lat], [one.to.lon, one.to.lat]];
    if (one.wayKey !== `${a}${b}`) [one.wayKey, one.wayPath] = [`${a}${b}`, arc(a, b, 20).map(([lon, lat]) => project(lon, lat))];
    this.path(pen, one.wayPath);
    pen.stroke();
  }

  path(pen, points) {
    pen.beginPath();
    let last = null;
    for (const at of points) {
      const [x, y] = this.pixel(at);
      if (last !== null && Math.abs(at[0] - last) < 3) pen.lineTo(x, y);
      else pen.moveTo(x, y); // across the antimeridian
      last = at[0];
    }
  }

  between(one, share) {
    return [0, 1].map((axis) => one.from[axis] + (one.at[axis] - one.from[axis]) * share);
  }
}
