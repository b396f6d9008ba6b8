// The page: hears a tick a second and hands it to its parts. What was last heard stays, and says how old it is.
import { Detail } from "./detail.js";
import * as f from "./format.js";
import { CLASSES, classify, icon, svg } from "./glyphs.js";
import { WorldMap } from "./map.js";
import { Panels } from "./panels.js";
import { Strip } from "./strip.js";
import { el, set } from "./tables.js";

const SILENT_MS = 4000; // then the link counts as lost
const SITES_MS = 60_000;
const SITES_MOST = 1000;
const $ = (id) => document.getElementById(id);
const key = (s) => `${s.region}/${s.id}`;

const sites = new Map();
const siteName = (id) => sites.get(id)?.name ?? null;
const state = { heard: 0, paused: false, tick: null, picked: null, lost: false };
const map = new WorldMap($("map"), { onHover: tip, onPick: open });
const strip = new Strip($("strip"));
const panels = new Panels(siteName, open);
const detail = new Detail($("detail"), $("board"), { siteName, onClose: close, onLost: lost });

function hear(tick) {
  state.heard = performance.now();
  state.tick = tick;
  const today = f.day(tick.now);
  const moving = f.records(tick.moving).map((s) => ({ ...s, class: classify(s, today) }));
  showMode(tick);
  if (tick.now) showClock(tick);
  if (tick.moving) map.setShipments(moving);
  strip.show(tick, moving);
  panels.show(tick, moving, state.picked);
  if (tick.moving) showLegend(moving);
  $("map-synthetic").hidden = !moving.some((s) => f.synthetic(s.source));
  if (tick.version) set($("version"), `version ${tick.version}`);
  if (tick.notes) set($("notes"), Object.entries(tick.notes).map(([name, text]) => `${name}: ${text}`).join(" · "));
}

function showMode(tick) {
  const [glyph, word] = tick.mode === "normal" ? ["●", "Normal"] : ["▲", "Degraded"];
  mode(tick.mode, glyph, word, tick.mode === "normal" ? [] : tick.why);
}

function mode(name, glyph, word, why) {
  $("mode").dataset.mode = name;
  set($("mode-glyph"), glyph);
  set($("mode-word"), word);
  const banner = $("banner");
  banner.hidden = why.length === 0;
  banner.dataset.mode = name;
  const text = why.join("|");
  if (banner.told === text) return;
  banner.told = text;
  banner.replaceChildren(el("strong", {}, `${glyph} ${word}:`), el("ul", {}, ...why.map((reason) => el("li", {}, reason))));
}

function showClock(tick) {
  set($("now-day"), f.day(tick.now));
  $("now-day").dateTime = tick.now;
  set($("now-hour"), `${tick.now.slice(11, 16)} UTC`);
  const day = 86_400 / tick.speed;
  set($("clock-kind"), tick.clock === "replay" ? `replay ×${f.count(tick.speed)}, 1 day in ${f.ago(day * 1000)}` : "wall clock");
}

function showLegend(moving) {
  const box = $("legend");
  const words = Object.entries(CLASSES).map(([name, c]) => [name, c, moving.filter((s) => s.class === name).length]);
  const old = moving.filter((s) => s.state === "stale").length;
  const told = words.map((w) => w[2]).join() + old + sites.size;
  if (box.told === told) return;
  box.told = told;
  const square = svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, svg("rect", { x: 4, y: 4, width: 6, height: 6, fill: "none", stroke: "var(--site)", "stroke-width": 1.4 }));
  box.replaceChildren(
    ...words.map(([name, c, n]) => el("li", { title: c.title }, icon(name), el("b", {}, f.count(n)), c.name)),
    el("li", { title: "older than its class allows" }, icon("course", true), el("b", {}, f.count(old)), "hollow: position is stale"),
    el("li", {}, square, el("b", {}, f.count(sites.size)), state.sitesTotal > sites.size ? `of ${f.count(state.sitesTotal)} sites` : "sites"),
  );
}

function tip(one, at) {
  const box = $("tip");
  box.hidden = !one;
  if (!one) return;
  const lines = one.kind === "site" ? siteLines(one) : shipmentLines(one.row);
  box.replaceChildren(el("b", {}, lines[0]), ...lines.slice(1).map((text) => el("div", { class: "dim" }, text)));
  const [w, h] = [$("map").clientWidth, $("map").clientHeight];
  box.style.left = `${Math.max(4, Math.min(at[0] + 14, w - box.offsetWidth - 6))}px`;
  box.style.top = `${Math.max(4, Math.min(at[1] + 14, h - box.offsetHeight - 6))}px`;
}

function siteLines(s) {
  const stock = s.stock === undefined ? [] : [`${f.count(s.stock)} packs on hand`];
  return [s.name, `${f.country(s.country)} · ${f.word(s.function)}`, ...stock, `${f.age(s.as_of, state.tick?.now)} old · ${f.short(s.source)}`];
}

function shipmentLines(s) {
  const cold = s.temp_c === null ? [] : [`${s.temp_c.toFixed(1)} °C`];
  const eta = s.eta_p50 ? `promised ${f.shortDay(s.promised_at)}, model ${f.shortDay(s.eta_p50)}` : `promised ${f.shortDay(s.promised_at)}`;
  return [`${s.id} → ${siteName(s.site) ?? f.country(s.country)}`, `${CLASSES[s.class].name} · ${eta}`, ...cold, `position ${f.ago(s.age_ms)} old · ${f.short(s.source)} · confidence ${s.confidence}`];
}

function open(row) {
  state.from = document.activeElement;
  location.hash = `shipment/${key(row)}`;
}

function close() {
  history.replaceState(null, "", location.pathname);
  route();
  if (state.from?.isConnected) state.from.focus();
}

function route() {
  const found = location.hash.match(/^#shipment\/([^/]+\/.+)$/);
  state.picked = found ? decodeURIComponent(found[1]) : null;
  map.pick(state.picked);
  detail.show(state.picked);
  if (state.tick) panels.show(state.tick, [...map.shipments.values()].map((s) => s.row), state.picked);
}

function tabs() {
  const both = [$("tab-map"), $("tab-table")];
  const pick = (tab) => both.forEach((one) => {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = one !== tab;
  });
  for (const tab of both) {
    tab.addEventListener("click", () => pick(tab));
    tab.addEventListener("keydown", (e) => {
      if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
      const other = both[1 - both.indexOf(tab)];
      pick(other);
      other.focus();
    });
  }
}

let stream = null;
function connect() {
  stream?.close();
  stream = new EventSource("/v1/live");
  stream.addEventListener("tick", (e) => state.paused || hear(JSON.parse(e.data)));
  stream.addEventListener("fault", (e) => mode("degraded", "▲", "Degraded", [JSON.parse(e.data).detail]));
  stream.addEventListener("error", async () => {
    if (stream.readyState !== EventSource.CLOSED || state.lost) return;
    const answer = await fetch("/v1/status").catch(() => null);
    if (answer?.status === 401) lost();
    else setTimeout(connect, 3000);
  });
}

function lost() {
  state.lost = true;
  stream?.close();
  mode("frozen", "■", "Signed out", ["this page was not used for a while; run `twin status --link` and open the new link"]);
}

function watchLink() {
  const silent = performance.now() - state.heard;
  const [name, glyph, word] = state.paused ? ["paused", "❚❚", "paused"]
    : !state.heard ? ["waiting", "○", "connecting"]
      : silent < SILENT_MS ? ["live", "●", "live"] : ["lost", "■", `silent for ${f.ago(silent)}`];
  $("link").dataset.state = name;
  set($("link-glyph"), glyph);
  set($("link-word"), word);
  if (name === "lost" && !state.lost) mode("frozen", "■", "Frozen", ["the gateway does not answer; all that is shown is as it was last heard"]);
}

function pause() {
  state.paused = !state.paused;
  detail.paused = state.paused;
  $("pause").setAttribute("aria-pressed", String(state.paused));
  set($("pause"), state.paused ? "Resume" : "Pause");
  state.heard = state.paused ? state.heard : performance.now();
  watchLink();
}

async function ask(path) {
  const answer = await fetch(path).catch(() => null);
  return answer?.ok ? answer.json() : null;
}

async function loadSites() {
  const [found, stock] = await Promise.all([
    ask(`/v1/search?kind=site&limit=${SITES_MOST}`),
    ask(`/v1/aggregate?kind=stock&by=site&measures=sum(on_hand)&limit=${SITES_MOST}`),
  ]);
  if (found) {
    const held = new Map((stock?.groups ?? []).map((g) => [g.by[0], g.measures[0]]));
    state.sitesTotal = found.total;
    sites.clear();
    for (const twin of found.twins) {
      const v = twin.values;
      if (v.lat === undefined || v.lon === undefined) continue;
      sites.set(twin.id, { id: twin.id, name: v.name?.text ?? twin.id, country: v.country?.text, function: v.function?.text, lat: v.lat.number, lon: v.lon.number, as_of: v.lat.as_of, source: v.lat.source, stock: held.get(twin.id) });
    }
    map.setSites([...sites.values()]);
  }
  setTimeout(loadSites, found ? SITES_MS : 3000);
}

async function loadReports() {
  const found = await ask("/v1/reports");
  const newest = found?.reports[0];
  if (newest) $("reports").replaceChildren(el("a", { href: `/reports/${newest.name}` }, `study report ${newest.name}`), found.total > 1 ? `, newest of ${found.total}` : "");
  setTimeout(loadReports, SITES_MS);
}

tabs();
for (const [id, act] of [["zoom-in", () => map.zoom(1.5)], ["zoom-out", () => map.zoom(1 / 1.5)], ["zoom-all", () => map.fit()], ["pause", pause]]) $(id).addEventListener("click", act);
window.addEventListener("hashchange", route);
document.addEventListener("keydown", (e) => e.key === "Escape" && state.picked && close());
setInterval(watchLink, 500);
ask("/static/land.json").then((land) => land && map.land(land.rings));
loadSites();
loadReports();
connect();
route();
