// Words for numbers. An absent value is an en dash, never 0.
const NONE = "–";
const whole = new Intl.NumberFormat("en");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;
export const MODES = { air: "air", air_charter: "air charter", truck: "truck", ocean: "ocean" };

export const count = (n) => (n === null || n === undefined ? NONE : whole.format(n));

export function time(text) {
  return text ? Date.parse(text) : NaN;
}

export function day(text) {
  return text ? text.slice(0, 10) : NONE;
}

export function shortDay(text) {
  if (!text) return NONE;
  return `${Number(text.slice(8, 10))} ${MONTHS[Number(text.slice(5, 7)) - 1]}`;
}

export function moment(text) {
  return text ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : NONE;
}

export function ago(ms) {
  if (!Number.isFinite(ms)) return NONE;
  const s = Math.max(0, ms) / 1000;
  if (s < 1) return "< 1 s";
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 3570) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${few(s / 3600)} h`;
  if (s < 730 * 86400) return `${few(s / 86400)} d`;
  return `${few(s / 86400 / 365.25)} y`;
}

export function age(asOf, now) {
  return ago(time(now) - time(asOf));
}

// Whole days that `text` lies behind `now`, by the calendar: a promise is kept until its day is over.
export function daysBehind(text, now) {
  return Math.round((Date.parse(day(now)) - Date.parse(day(text))) / DAY_MS);
}

export function bytes(n) {
  if (!n) return NONE;
  const [size, unit] = n >= 1 << 30 ? [n / (1 << 30), "GiB"] : n >= 1 << 20 ? [n / (1 << 20), "MiB"] : [n / 1024, "KiB"];
  return `${few(size)} ${unit}`;
}

export function rate(n) {
  if (n === null || n === undefined) return NONE;
  return n >= 10 ? whole.format(Math.round(n)) : few(n);
}

export function percent(p) {
  return p === null || p === undefined ? NONE : `${Math.round(p * 100)} %`;
}

export function few(n) {
  return n >= 100 || Number.isInteger(n) ? whole.format(Math.round(n)) : n.toFixed(1);
}

export function word(code) {
  if (!code) return NONE;
  const text = String(code).toLowerCase().replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

const names = new Intl.DisplayNames("en", { type: "region", fallback: "code" });
export function country(code) {
  if (!code) return NONE;
  try {
    return names.of(code);
  } catch {
    return code;
  }
}

export const synthetic = (source) => Boolean(source) && source.startsWith("demo/");
export const short = (source) => (synthetic(source) ? `${source} (synthetic)` : (source ?? NONE));

export function shown(part, noun) {
  if (!part) return "not known now";
  const all = count(part.total);
  return part.shown < part.total ? `showing ${count(part.shown)} of ${all} ${noun}` : `${all} ${noun}`;
}

// Rows of a part of the tick as objects.
export function records(part) {
  if (!part) return [];
  return part.rows.map((row) => Object.fromEntries(part.columns.map((name, at) => [name, row[at]])));
}
