// Small helpers: elements, numbers, marker shapes, scales.
const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function svg(tag, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

// Made once: a format for each number takes longer than the rest of a table.
const INTEGERS = new Intl.NumberFormat("en"), DECIMALS = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

function number(value, none = "missing") {
  if (value === null || value === undefined) return none;
  return (Number.isInteger(value) ? INTEGERS : DECIMALS).format(value);
}

// Path data of one marker of radius r around (x, y).
const MARKERS = {
  circle: (x, y, r) => `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0z`,
  square: (x, y, r) => polygon(x, y, r * 1.25, 4, Math.PI / 4),
  triangle: (x, y, r) => polygon(x, y, r * 1.3, 3, -Math.PI / 2),
  inverted: (x, y, r) => polygon(x, y, r * 1.3, 3, Math.PI / 2),
  diamond: (x, y, r) => polygon(x, y, r * 1.3, 4, 0),
  pentagon: (x, y, r) => polygon(x, y, r * 1.15, 5, -Math.PI / 2),
  hexagon: (x, y, r) => polygon(x, y, r * 1.15, 6, 0),
  cross: (x, y, r) => {
    const a = round(r * 0.4), b = round(r * 1.15 - r * 0.4);
    return `M${round(x - a)},${round(y - a - b)}h${2 * a}v${b}h${b}v${2 * a}h${-b}v${b}` +
      `h${-2 * a}v${-b}h${-b}v${-2 * a}h${b}z`;
  },
};

function round(value) { return Math.round(value * 10) / 10; }

function polygon(x, y, r, corners, turn) {
  let path = "";
  for (let i = 0; i < corners; i++) {
    const angle = turn + (2 * Math.PI * i) / corners;
    path += `${i ? "L" : "M"}${round(x + r * Math.cos(angle))},${round(y + r * Math.sin(angle))}`;
  }
  return path + "z";
}

// Runs without a result: shapes that no family has, without fill.
const GAPS = {
  "failed": (x, y) => `M${x - 4},${y - 4}l8,8m0,-8l-8,8`,
  "diverged": (x, y) => `M${x - 5},${y + 4}l3,-8l3,8l3,-8`,
  "not evaluated": (x, y) => `M${x - 4},${y - 4}h8v8h-8zm0,0l8,8`,
  "running": (x, y) => `M${x - 4},${y - 5}l8,5l-8,5z`,
  "pending": (x, y) => `M${x - 4},${y - 5}h8l-8,10h8z`,
};

function marker(style, hollow = false) {
  const icon = svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
  icon.append(svg("path", {
    d: MARKERS[style.marker](0, 0, 4.6),
    fill: hollow ? "none" : style.colour,
    stroke: hollow ? style.colour : "#0007",
    "stroke-width": hollow ? 1.6 : 0.6,
  }));
  return icon;
}

// Ranks from 1 on by a value of each point; equal ones share the mean of theirs.
function ranks(points, value) {
  const sorted = [...points].sort((a, b) => value(a) - value(b)), found = new Map();
  for (let first = 0, last; first < sorted.length; first = last) {
    last = first + 1;
    while (last < sorted.length && value(sorted[last]) === value(sorted[first])) last++;
    for (let k = first; k < last; k++) found.set(sorted[k], (first + 1 + last) / 2);
  }
  return found;
}

// The value at x of a curve of points with ascending x; null outside.
function interpolate(xs, ys, x) {
  const k = xs.findIndex((value) => value >= x);
  if (k < 0 || (k === 0 && xs[0] > x)) return null;
  if (k === 0) return ys[0];
  return ys[k - 1] + ((ys[k] - ys[k - 1]) * (x - xs[k - 1])) / (xs[k] - xs[k - 1]);
}

// A scale from [low, high] to pixels, with ticks at round numbers.
function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (v) => v;
  const a = f(low), b = f(high);
  const map = (value) => from + ((f(value) - a) / (b - a)) * (to - from);
  map.invert = (pixel) => {
    const value = a + ((pixel - from) / (to - from)) * (b - a);
    return log ? 10 ** value : value;
  };
  const most = Math.max(3, Math.abs(to - from) / 42);
  map.ticks = log ? logTicks(low, high, most) : linearTicks(low, high);
  const decimals = log ? 0 : Math.max(...map.ticks.map((t) => (String(t).split(".")[1] || "").length));
  map.text = (tick) => tick.toLocaleString("en", { minimumFractionDigits: decimals, maximumSignificantDigits: 12 });
  return map;
}

function linearTicks(low, high, count = 6) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

// Powers of ten, with as many factors between as there is room for.
function logTicks(low, high, most) {
  let best = [];
  for (const factors of [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 5, 7]]) {
    const ticks = [];
    for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k++) {
      for (const factor of factors) {
        const tick = Number((factor * 10 ** k).toPrecision(6));
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    }
    if (ticks.length <= most && ticks.length > best.length) best = ticks;
    if (best.length >= 5) break;
  }
  return best.length >= 3 ? best : linearTicks(low, high);
}

function range(values, log, least = 0) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (log) {
    const pad = Math.max((high / low) ** 0.06, 1.08);
    return [low / pad, high * pad];
  }
  const pad = Math.max((high - low) * 0.08, least, Math.abs(high) * 1e-3, 1e-9);
  return [low - pad, high + pad];
}
