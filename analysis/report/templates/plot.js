// One scatter plot: axes, markers by family, lines, hover, keys, brush.
const plots = new Map();
const tip = document.getElementById("tip");
const NARROW = 600; // below it, labels are short
const REFERENCE = "M0,-6l6,6l-6,6l-6,-6z";
const CLAIM = "M0,-6l3.5,6l-3.5,6l-3.5,-6z"; // thinner: published, not measured
const STRIP = 26; // height of the strip of runs without result, px

// Points of the sweep: how they look, what is told of them, what selecting them does.
const SWEEP = {
  styles,
  family: (i) => columns.family[i],
  isHollow: (i) => Boolean(columns.differs_in[i]),
  isFaded: (i) => brushed !== null && !brushed.has(i),
  name: (i) => columns.name[i],
  title: label,
  details,
  select: setBrush,
};

// Options: `of`, whose points they are; `id`, `points`, `x`, `y`, and what parts below take.
function drawPlot(host, options) {
  host.replaceChildren();
  const { points, gaps = [], lines = [], references: models = [] } = options;
  if (!points.length && !gaps.length && !models.length) {
    plots.delete(options.id);
    host.append(element("p", { class: "missing" }, options.empty));
    return;
  }
  const width = Math.max(host.clientWidth, 280);
  const height = Math.min(Math.max(width * options.aspect, 250), 540);
  const box = {
    left: 58, right: width - (lines.some((line) => line.name) ? (width < NARROW ? 78 : 146) : 14),
    top: gaps.length ? 14 + STRIP : 14, bottom: height - 46,
  };
  const xDomain = options.xDomain ||
    range([...[...points, ...gaps].map(options.x), ...models.map((m) => m.x)], options.xLog);
  const heights = [...points.map(options.y), ...models.map((m) => m.y)];
  const hasY = points.length + models.length > 0;
  const yDomain = options.yDomain || (hasY ? range(heights, options.yLog) : [0, 1]);
  const x = scale(...xDomain, box.left, box.right, options.xLog);
  const y = scale(...yDomain, box.bottom, box.top, options.yLog);

  const chart = svg("svg", {
    class: "chart", viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application",
    "aria-roledescription": "scatter plot",
    "aria-label": `${options.yLabel} over ${options.xLabel}, ${points.length} points. ` +
      "Left and right arrow keys step through them, with Shift they select, Escape clears; " +
      "the table below holds the same points.",
  });
  const of = options.of || SWEEP;
  const titles = drawAxes(chart, options, x, y, box, hasY);
  const drawn = drawLines(chart, options, x, y, box, width);
  const grey = drawReferences(chart, models, x, y, width);
  const at = drawPoints(chart, of, options, x, y);
  drawGaps(chart, options, x, box, at);
  drawNames(chart, of, grey, at, drawn, box);
  const marks = svg("g");
  chart.append(marks);
  host.append(...titles, chart);
  const plot = { id: options.id, of, chart, marks, at, options, y };
  plots.set(options.id, plot);
  listen(plot, box);
}

// Titles that are longer than their axes, as lines to be put above the chart.
function drawAxes(chart, options, x, y, box, hasY) {
  for (const tick of x.ticks) {
    chart.append(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: box.top, y2: box.bottom }));
    chart.append(svg("text", { class: "tick", x: x(tick), y: box.bottom + 17, "text-anchor": "middle" }, x.text(tick)));
  }
  for (const tick of hasY ? y.ticks : []) {
    chart.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
    chart.append(svg("text", { class: "tick", x: box.left - 7, y: y(tick) + 4, "text-anchor": "end" }, y.text(tick)));
  }
  chart.append(svg("path", { class: "axis", d: `M${box.left},${box.top}V${box.bottom}H${box.right}` }));
  const above = [], title = (text, room, arrow, attributes) => {
    if (text.length * 6.6 > room) above.push(element("p", { class: "note" }, `${arrow} ${text}`));
    else chart.append(svg("text", { "text-anchor": "middle", ...attributes }, text));
  };
  const [middle, centre] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  title(options.yLabel, box.bottom + 30, "↑", { transform: `translate(14,${centre}) rotate(-90)` });
  title(options.xLabel, box.right, "→", { x: middle, y: box.bottom + 38 });
  return above;
}

function drawLines(chart, options, x, y, box, width) {
  const clip = `clip-${options.id}`;
  const window_ = svg("clipPath", { id: clip });
  window_.append(svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));
  chart.append(window_);
  const ends = [], drawn = [];
  for (const line of options.lines || []) {
    const corners = line.points.map(([a, b]) => [x(a), y(b)]);
    drawn.push(corners);
    const d = corners.map(([a, b], i) => `${i ? "L" : "M"}${round(a)},${round(b)}`).join("");
    const path = svg("path", { class: line.kind, d, "clip-path": `url(#${clip})` });
    if (line.colour) path.setAttribute("stroke", line.colour);
    if (line.dash) path.setAttribute("stroke-dasharray", line.dash);
    chart.append(path);
    if (!line.name) continue;
    // Where the line leaves the window: at the right, or earlier through the top.
    const end = exitOf(corners, box);
    if (end) ends.push({ line, x: end[0], y: end[1] });
  }
  ends.sort((a, b) => a.y - b.y);
  let previous = -Infinity;
  for (const end of ends) {
    const height = Math.max(end.y, previous + 15);
    previous = height;
    chart.append(svg("path", { class: "baseline faded", d: `M${round(end.x)},${round(end.y)}L${box.right + 4},${round(height)}` }));
    chart.append(svg("text", { class: "baseline-label tick", x: box.right + 7, y: height + 4 },
      width < NARROW ? end.line.name.split(" (")[0] : end.line.name));
  }
  return drawn;
}

function exitOf(line, box) {
  let last = null;
  for (let i = 1; i < line.length; i++) {
    const [[x0, y0], [x1, y1]] = [line[i - 1], line[i]];
    for (let k = 0; k <= 200; k++) {
      const px = x0 + ((x1 - x0) * k) / 200, py = y0 + ((y1 - y0) * k) / 200;
      if (px >= box.left && px <= box.right && py >= box.top && py <= box.bottom) last = [px, py];
    }
  }
  return last;
}

function drawReferences(chart, models, x, y, width) {
  return models.map(({ model, title, x: across, y: up }) => {
    const px = round(x(across)), py = round(y(up));
    const diamond = svg("path", { class: "reference", d: model.source ? CLAIM : REFERENCE, transform: `translate(${px},${py})` });
    diamond.append(svg("title", {}, title));
    chart.append(diamond);
    return { x: px, y: py, text: width < NARROW ? model.label.split(",")[0] : model.label };
  });
}

function drawPoints(chart, of, options, x, y) {
  const { points } = options;
  const radius = points.length < 200 ? 5.5 : points.length < 1500 ? 4 : 2.4;
  const at = [];
  const paths = new Map(); // one path per look: thousands of points stay fast
  for (const i of points) {
    const px = round(x(options.x(i))), py = round(y(options.y(i)));
    at.push({ i, x: px, y: py });
    const family = of.family(i), key = JSON.stringify([family, of.isHollow(i), of.isFaded(i)]);
    paths.set(key, (paths.get(key) || "") + MARKERS[of.styles.get(family).marker](px, py, radius));
  }
  for (const [key, d] of paths) {
    const [family, hollow, faded] = JSON.parse(key);
    const { colour } = of.styles.get(family);
    chart.append(svg("path", {
      d, class: faded ? "points faded" : "points", "data-family": family,
      fill: hollow ? "var(--page)" : colour,
      stroke: hollow ? colour : "#0008", "stroke-width": hollow ? 1.8 : radius > 3 ? 0.5 : 0,
    }));
  }
  return at;
}

function drawGaps(chart, options, x, box, at) {
  const gaps = options.gaps || [];
  if (!gaps.length) return;
  const y = 13;
  chart.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y + 13, y2: y + 13 }));
  chart.append(svg("text", { class: "tick", x: box.left - 7, y: y + 4, "text-anchor": "end" }, "no result"));
  for (const i of gaps) {
    const px = round(x(options.x(i)));
    at.push({ i, x: px, y });
    chart.append(svg("path", { class: "gap", d: GAPS[columns.state[i]](px, y) }));
  }
}

// Names beside their points, over everything else: of grey ones that share a name, and
// of own ones, the first place of all that hides least.
function drawNames(chart, of, grey, at, lines, box) {
  const named = at.filter(({ i }) => of.name(i)).map((point) => ({ ...point, text: of.name(point.i) }));
  const groups = new Map();
  for (const point of grey) groups.set(point.text, [...(groups.get(point.text) || []), point]);
  const labels = [...[...groups.values()].map((points) => ({ points, kind: "baseline-label tick" })),
    ...(named.length > 40 ? [] : named.map((point) => ({ points: [point], kind: "label" })))];
  if (!labels.length) return;
  const few = at.length < 600; // among more, no place is free
  const taken = [...grey, ...(few ? at : [])].map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]);
  if (few) taken.push(...lines.flatMap(alongLine).map(([x, y]) => [x - 1, y - 2, x + 1, y + 2]));
  for (const { points, kind } of labels) {
    const { point, place } = freePlace(points, taken, box);
    taken.push(place);
    const [left, top, right, bottom] = place;
    if (Math.hypot(Math.max(left - point.x, 0, point.x - right), Math.max(top - point.y, 0, point.y - bottom)) > 12) {
      const end = [Math.min(Math.max(point.x, left), right), point.y < top ? top : bottom];
      chart.append(svg("path", { class: "leader", d: `M${point.x},${point.y}L${round(end[0])},${round(end[1])}` }));
    }
    chart.append(svg("text", { class: kind, x: left, y: bottom - 3 }, point.text));
  }
}

// Points of a line, every ten pixels and less.
function alongLine(corners) {
  return corners.slice(1).flatMap(([x1, y1], k) => {
    const [x0, y0] = corners[k], steps = Math.min(Math.ceil(Math.hypot(x1 - x0, y1 - y0) / 10), 200);
    return Array.from({ length: steps }, (_, n) => [x0 + ((x1 - x0) * n) / steps, y0 + ((y1 - y0) * n) / steps]);
  });
}

// Boxes beside each of the points, nearest first, and of those the one that hides least.
function freePlace(points, taken, box) {
  const wide = points[0].text.length * 6.6, high = 13;
  let best = null;
  for (const reach of [0, 1, 2, 3, 4]) {
    for (const point of points) {
      const rise = reach * high;
      for (const [dx, dy] of [[8, rise], [8, -rise], [-8 - wide, rise], [-8 - wide, -rise], [-wide / 2, rise + 14], [-wide / 2, -rise - 14]]) {
        const left = point.x + dx, top = point.y + dy - high / 2;
        const place = [left, top, left + wide, top + high];
        const outside = wide * high - shared(place, [box.left, box.top, box.right, box.bottom]);
        const hides = 10 * outside + taken.reduce((sum, other) => sum + shared(place, other), 0);
        if (best === null || hides < best.hides) best = { point, place, hides };
        if (hides === 0) return best;
      }
    }
  }
  return best;
}

const shared = ([a, b, c, d], [e, f, g, h]) =>
  Math.max(0, Math.min(c, g) - Math.max(a, e)) * Math.max(0, Math.min(d, h) - Math.max(b, f));

function listen(plot, box) {
  const { chart, at, of } = plot;
  const toChart = (event) => {
    const frame = chart.getBoundingClientRect();
    const zoom = frame.width / chart.viewBox.baseVal.width;
    return [(event.clientX - frame.left) / zoom, (event.clientY - frame.top) / zoom];
  };
  let start = null, rectangle = null;
  chart.addEventListener("pointermove", (event) => {
    const [px, py] = toChart(event);
    if (start && Math.hypot(px - start[0], py - start[1]) > 6) {
      rectangle ||= chart.appendChild(svg("rect", { class: "brush" }));
      rectangle.setAttribute("x", Math.min(px, start[0]));
      rectangle.setAttribute("y", Math.min(py, start[1]));
      rectangle.setAttribute("width", Math.abs(px - start[0]));
      rectangle.setAttribute("height", Math.abs(py - start[1]));
      return;
    }
    let best = null, least = 20 ** 2;
    for (const point of at) {
      const distance = (point.x - px) ** 2 + (point.y - py) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    highlight(best ? best.i : null, plot);
  });
  chart.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button) return;
    start = toChart(event);
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointerup", (event) => {
    const [px, py] = toChart(event);
    if (rectangle) {
      const [[a, c], [b, d]] = [[start[0], px], [start[1], py]].map((v) => v.sort((m, n) => m - n));
      of.select(at.filter((p) => p.x >= a && p.x <= c && p.y >= b && p.y <= d).map((p) => p.i));
    }
    start = rectangle = null;
  });
  chart.addEventListener("pointerleave", () => highlight(null, plot));
  chart.addEventListener("blur", () => highlight(null, plot));
  const inOrder = [...at].sort((a, b) => a.x - b.x || a.y - b.y).map((point) => point.i);
  chart.addEventListener("keydown", (event) => {
    if (event.key === "Escape") of.select([]);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = inOrder.length - 1, here = inOrder.indexOf(cursor.i);
    const next = here < 0 ? (step > 0 ? 0 : last) : Math.min(Math.max(here + step, 0), last);
    cursor.i = inOrder[next];
    if (event.shiftKey) {
      const from = inOrder.indexOf(cursor.from), ends = [from < 0 ? next : from, next];
      of.select(inOrder.slice(Math.min(...ends), Math.max(...ends) + 1));
    } else {
      cursor.from = cursor.i;
    }
    highlight(cursor.i, plots.get(plot.id));
  });
}

// The point that keys have come to, and that from which Shift selects.
const cursor = { i: null, from: null };

// Rings the point in every plot of its kind, and tells about it beside the one in use.
function highlight(i, source) {
  for (const plot of plots.values()) {
    plot.marks.replaceChildren();
    const point = i === null || plot.of !== source.of ? null : plot.at.find((p) => p.i === i);
    if (!point) continue;
    const spread = plot.options.whisker ? plot.options.whisker(i) : null;
    if (spread) {
      plot.marks.append(svg("line", { class: "whisker", x1: point.x, x2: point.x, y1: plot.y(spread[0]), y2: plot.y(spread[1]) }));
    }
    plot.marks.append(svg("circle", { class: "ring", cx: point.x, cy: point.y, r: 9 }));
  }
  tip.hidden = i === null;
  if (i === null) return;
  tip.replaceChildren(element("b", {}, source.of.title(i)), source.of.details(i));
  const frame = source.chart.getBoundingClientRect();
  const zoom = frame.width / source.chart.viewBox.baseVal.width;
  const point = source.at.find((p) => p.i === i);
  const left = frame.left + point.x * zoom, top = frame.top + point.y * zoom;
  const right = left + 16 + tip.offsetWidth < innerWidth;
  tip.style.left = `${Math.max(4, right ? left + 16 : left - 16 - tip.offsetWidth)}px`;
  tip.style.top = `${Math.max(4, Math.min(top + 12, innerHeight - tip.offsetHeight - 8))}px`;
}

function details(i) {
  const rows = [
    ["family", columns.family[i]], ["run", columns.run_id[i]],
    ["status", columns.status[i] + (columns.state[i] === "not evaluated" ? ", not evaluated" : "")],
  ];
  if (columns.config[i]) rows.push(["configuration", columns.config[i]]);
  if (columns.error[i]) rows.push(["error", columns.error[i]]);
  const names = new Set([...objectives(), state.x, state.y, ...data.told]);
  for (const name of names) {
    const measure = measures.get(name); // those of hardware follow, for each stage
    if (!measure.per_hardware) rows.push([measure.title, number(columns[name][i])]);
  }
  for (const measure of measures.values()) {
    const ends = interval(measure, i);
    if (ends) rows.push([`${measure.label}, 95 %`, ends.map((end) => number(end)).join(" to ")]);
  }
  if (columns.frontier_probability[i] !== null) {
    rows.push(["on the frontier in", `${Math.round(100 * columns.frontier_probability[i])} % of the draws`]);
  }
  for (const stage of data.stages) {
    const [median, low, high] = ["decode_ms", "decode_ms_q25", "decode_ms_q75"].map((s) => decode(s, stage, i));
    rows.push([stage.replaceAll("_", " "), median === null ? "missing"
      : `${number(median)} ms (quartiles ${number(low)} to ${number(high)})`]);
  }
  for (const device of data.estimates) {
    if (device.network_ms[i] !== null) rows.push([device.name, `network, ${number(device.network_ms[i])} ms`]);
  }
  if (columns.codec[i]) rows.push(["codec", columns.codec[i]]);
  rows.push(["trained", `${number(columns.steps[i])} steps, batch ${columns.batch_size[i]}, lambda ${columns.lmbda[i]}`]);
  if (columns.differs_in[i]) rows.push(["other than most in", columns.differs_in[i].replaceAll("_", " ")]);
  return facts(rows);
}

function facts(rows) {
  return element("dl", {}, ...rows.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));
}
