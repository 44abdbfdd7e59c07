// The page: controls, what each plot shows, and when they are drawn.
function refresh() {
  writeAddress();
  const focused = [...plots.values()].find(({ chart }) => chart === document.activeElement);
  const points = shownPoints();
  starred = new Set(frontiers(points, objectives()).flat());
  drawControls();
  drawFrontier(points);
  drawTimes(points);
  drawRanks(points);
  drawQuality(points);
  drawSavings(points);
  drawTable(points);
  drawTasks();
  if (focused && plots.has(focused.id)) plots.get(focused.id).chart.focus({ preventScroll: true });
}

// Of points that a plot selected; none: all.
function setBrush(points) {
  brushed = points.length ? new Set(points) : null;
  rowsShown = PAGE;
  refresh();
}

function drawFrontier(points) {
  const { x, y } = state, [across, up] = [measures.get(x), measures.get(y)];
  const placed = points.filter((i) => valueOf(x, i) !== null);
  const shown = placed.filter((i) => isMeasured(i) && valueOf(y, i) !== null);
  const steps = frontiers(points, [x, y]).map((front) =>
    staircase(front, (i) => valueOf(x, i), (i) => valueOf(y, i)));
  const held = heldEqual([x, y]);
  const groups = new Set(shown.map((i) => groupOf(held, i)));
  drawFrontierNote(held, points);
  drawPlot(document.getElementById("plot-frontier"), {
    id: "frontier", aspect: 0.46, empty: "missing: no point has both of these",
    points: shown, gaps: placed.filter((i) => !isMeasured(i)), lines: steps,
    x: (i) => valueOf(x, i), y: (i) => valueOf(y, i),
    whisker: (i) => interval(up, i),
    xLabel: titleOver(across, shown), xLog: across.log && state.cost === "log",
    yLabel: titleOver(up, shown), yLog: up.log || spansMuch(shown.map((i) => valueOf(y, i))),
    references: references([x, y]).filter(({ model }) =>
      !shown.length || model.bd_anchor || groups.has(held.map((name) => model[name]).join(" "))),
  });
}

function staircase(front, x, y) {
  const corners = front.flatMap((i, k) => [...(k ? [[x(i), y(front[k - 1])]] : []), [x(i), y(i)]]);
  return { kind: "staircase", points: corners };
}

// A linear axis would show little but its largest values: one training of many went wrong.
const spansMuch = (values) => Math.min(...values) > 0 && Math.max(...values) > 30 * Math.min(...values);

// Of an axis: against what BD-rates are, of which device estimates are.
function titleOver(measure, points) {
  if (measure.name !== "rd_loss") {
    const told = measure.within.filter((name) => ["bd_window", "bd_anchor", "estimated_device_kind"].includes(name));
    return [measure.title, ...new Set(told.flatMap((name) => points.map((i) => columns[name][i])))].join(", ");
  }
  const distortions = [...new Set(points.map((i) => columns.distortion[i]))];
  return `${measure.title} (bpp + lambda · ${distortions.join(" or ").toUpperCase().replace("_", "-")})`;
}

// A reason in general: of a broken rule without the value that broke it.
const broken = (reason) => (reason || "").replace(/^(.*); got .*$/, "this fails: $1");

const HELD = {
  lmbda: "lambda", distortion: "distortion", bd_window: "anchor and range of PSNR", bd_anchor: "anchor",
  estimated_device_kind: "device",
};

function drawFrontierNote(held, points) {
  const better = (name) => `${measures.get(name).minimise ? "less" : "more"} ${measures.get(name).title}`;
  const among = held.length ? `, each among points of equal ${held.map((name) => HELD[name]).join(" and ")}` : "";
  const others = objectives().length > 2 ? ` ★ in the table: not dominated in ${objectives().map(better).join(", ")}.` : "";
  const apart = isKodak() && state.y === "rd_loss" && data.claims.length
    ? ` Published codecs are drawn over ${measures.get(CLAIMED).title} and ${measures.get(SAVED).title} (choose it under Up): no RD loss that is a mean over images was published.`
    : claims([state.x, state.y]).some((model) => SAVED in model)
      ? " Published BD-rates are claims: their sources do not state over which range of PSNR." : "";
  const reasons = [state.x, state.y].includes("bd_rate_percent")
    ? [...new Set(points.map((i) => broken(columns.bd_gap[i])).filter(Boolean))] : [];
  const gaps = reasons.length ? ` Points are missing where ${reasons.join("; or where ")}.` : "";
  document.getElementById("frontier-note").textContent =
    `Better: ${better(state.x)}, ${better(state.y)}. The black staircase joins the points that none of those ` +
    `that compare dominates${among}; hollow points are on none.${others}${apart}${gaps}`;
}

const COST = "kflops_per_px", CLAIMED = "rd_loss_of_mean_psnr", SAVED = "bd_rate_percent";

function drawTimes(points) {
  const device = data.devices.find((d) => d.id === state.hardware);
  document.getElementById("times-note").textContent = device ? ` ${device.name}: ${device.conditions}.` : "";
  const host = document.getElementById("plot-times");
  host.replaceChildren(...data.stages.map((stage) => {
    const panel = element("div", {}, element("h3", {}, stage.replaceAll("_", " ")), element("div", { class: "plot" }));
    return panel;
  }));
  // One point per architecture, whichever of its rates was timed.
  const timed = (stage) => {
    const found = points.filter((i) => decode("decode_ms", stage, i) !== null && valueOf(COST, i) !== null);
    return [...new Map(found.map((i) => [columns.arch_id[i], i])).values()];
  };
  data.stages.forEach((stage, k) => drawPlot(host.children[k].lastChild, {
    id: `times-${stage}`, aspect: 0.8, empty: "missing: not timed on this hardware",
    points: timed(stage),
    x: (i) => valueOf(COST, i), y: (i) => decode("decode_ms", stage, i),
    whisker: (i) => [decode("decode_ms_q25", stage, i), decode("decode_ms_q75", stage, i)],
    xLabel: measures.get(COST).title, yLabel: measures.get("decode_ms").title,
    xLog: state.cost === "log", yLog: state.time === "log",
  }));
  drawEstimates(points);
}

// Of devices that are not at hand: panels of their own, never among times.
function drawEstimates(points) {
  const host = document.getElementById("plot-estimates");
  host.replaceChildren(...data.estimates.map((device) => element("div", {},
    element("h3", {}, device.name), element("p", { class: "note" }, device.note), element("div", { class: "plot" }))));
  data.estimates.forEach((device, k) => {
    const found = points.filter((i) => device.network_ms[i] !== null && valueOf(COST, i) !== null);
    drawPlot(host.children[k].lastChild, {
      id: `estimates-${k}`, aspect: 0.8, empty: "missing: does not fit, or not asked for",
      points: [...new Map(found.map((i) => [columns.arch_id[i], i])).values()],
      x: (i) => valueOf(COST, i), y: (i) => device.network_ms[i],
      xLabel: measures.get(COST).title, yLabel: "network, estimated (ms)",
      xLog: state.cost === "log", yLog: state.time === "log",
    });
  });
}

// Reference models of the project and published codecs, where the image set is theirs:
// Kodak; and codecs without a model that were measured on the set.
function references(axes) {
  const [x, y] = axes, published = hiddenFamilies().has(PUBLISHED) ? [] : claims(axes);
  const known = [...(isKodak() ? data.references : []), ...otherCodecs()];
  return [...known.filter((model) => x in model && y in model), ...published].map(
    (model) => ({ model, title: told(model), x: model[x], y: model[y] }));
}

function told(model) {
  const names = [...data.told, CLAIMED, SAVED].filter((name) => name in model);
  const values = names.map((name) => `${measures.get(name).title} ${number(model[name])}`).join(", ");
  const against = model.bd_anchor ? ` against ${model.bd_anchor}` : "";
  const source = model.source ? `; source: ${model.source}` : "";
  return `${model.label}, ${model.family}: ${values}${against}${source}`;
}

// What was published with both of these; BD-rates against the anchor of own ones alone.
const PUBLISHED = "published";
function claims([x, y]) {
  if (!isKodak()) return [];
  const anchors = new Set(everyPoint.filter(ofDataset).map((i) => columns.bd_anchor[i]));
  return data.claims.filter((model) =>
    x in model && y in model && (!model.bd_anchor || anchors.has(model.bd_anchor)));
}

const otherCodecs = () => data.other_codecs.filter((codec) => codec.dataset === state.dataset);

function isKodak() {
  const dataset = data.datasets.find((d) => d.name === state.dataset);
  return Boolean(dataset && dataset.kodak);
}

const DASHES = ["1 3", "7 4", "7 3 1 3", "14 4"];
const CLASSICAL_DASHES = ["none", "5 2", "2 2", "5 2 1 2"];

// Lines of the plot of PSNR: published curves, JPEG and its like as measured on the same
// images, and own curves of several points.
function qualityLines(measured, kodak) {
  const line = (kind, dashes) => (curve, k) => ({
    kind, dash: dashes[k % dashes.length], name: curve.label,
    points: curve.bpp.map((rate, j) => [rate, curve.psnr_db[j]]),
  });
  return [
    ...data.published.map(line(kodak ? "baseline" : "baseline foreign", DASHES)),
    ...classical().map(line("classical", CLASSICAL_DASHES)),
    ...ownCurves(measured, (i) => columns.bpp[i], (i) => columns.psnr_db[i]),
  ];
}

function ownCurves(points, x, y) {
  const curves = new Map();
  for (const i of points) {
    const key = columns.curve[i];
    if (key >= 0) curves.set(key, [...(curves.get(key) || []), i]);
  }
  return [...curves.values()].map((own) => ({
    kind: "own-curve", colour: styles.get(columns.family[own[0]]).colour,
    points: own.map((i) => [x(i), y(i)]).sort((a, b) => a[0] - b[0]),
  }));
}

const classical = () => data.classical.filter((codec) => codec.dataset === state.dataset);

function drawQuality(points) {
  const dataset = data.datasets.find((d) => d.name === state.dataset);
  const kodak = isKodak(), models = references(["bpp", "psnr_db"]).filter(({ model }) => model.family !== "classical");
  const note = document.getElementById("kodak-note");
  note.className = kodak ? "note" : "notice";
  note.replaceChildren(kodak
    ? "Dotted and dashed grey: published points of other codecs on the same 24 images, sources below. Grey diamonds: this project's reference models, labelled with their steps, and codecs overfitted to each image. PSNR in RGB, mean over images; rate from all bytes of the files."
    : element("b", {}, `NOT COMPARABLE: these points are of ${dataset ? `"${dataset.name}"` : "no image set yet"}, the pale curves are published for the 24 Kodak images.`),
    kodak ? "" : " Evaluate on Kodak to compare with them.",
    classical().length ? " Black: classical codecs, measured here on the same images." : "");
  const measured = points.filter(isMeasured);
  // The window holds the published curves wherever own points have that rate.
  let xDomain = null, yDomain = null;
  if (measured.length) {
    const [low, high] = range([...measured.map((i) => columns.bpp[i]), ...models.map((m) => m.x)], false, 0.1);
    xDomain = [Math.max(low, 0), high];
    const published = [...data.published, ...classical()].flatMap((curve) =>
      xDomain.map((rate) => interpolate(curve.bpp, curve.psnr_db, rate))).filter((v) => v !== null);
    yDomain = range([...published, ...measured.map((i) => columns.psnr_db[i]), ...models.map((m) => m.y)], false, 1);
  }
  drawPlot(document.getElementById("plot-quality"), {
    id: "quality", aspect: 0.46, empty: "missing: no run was measured", points: measured,
    x: (i) => columns.bpp[i], y: (i) => columns.psnr_db[i],
    xDomain, yDomain, references: models,
    lines: qualityLines(measured, kodak),
    xLabel: measures.get("bpp").title, yLabel: measures.get("psnr_db").title,
  });
}

// Figure 1 of the study: rates against one anchor over quality, a line for each curve.
function drawSavings(points) {
  const measure = measures.get("anchor_rate_percent");
  const value = (i) => columns.anchor_rate_percent[i];
  const shown = points.filter((i) => isMeasured(i) && value(i) !== null);
  const lines = ownCurves(shown, (i) => columns.psnr_db[i], value);
  if (shown.length) lines.push({ kind: "zero", points: range(shown.map((i) => columns.psnr_db[i])).map((x) => [x, 0]) });
  drawPlot(document.getElementById("plot-savings"), {
    id: "savings", aspect: 0.4, empty: "missing: no point has the PSNR of an anchor on the same images",
    points: shown, lines, x: (i) => columns.psnr_db[i], y: value,
    xLabel: measures.get("psnr_db").title, yLabel: titleOver(measure, shown),
  });
}

// Figure 4, right: ranks of the network's times on the chosen device, against another's or
// against operations; of the points that compare, as the table of correlations.
function drawRanks(points) {
  const stage = data.stages[0], host = document.getElementById("plot-ranks");
  const [device, other] = [state.hardware, state.against].map((id) => data.devices.find((d) => d.id === id));
  if (!device) {
    host.replaceChildren(element("p", { class: "missing" }, "missing: nothing was timed"));
    return;
  }
  const apart = other && other !== device;
  const across = (i) => (apart ? columns[`decode_ms.${other.id}.${stage}`][i] : columns[COST][i]);
  const up = (i) => decode("decode_ms", stage, i);
  const found = points.filter((i) => !columns.differs_in[i] && across(i) !== null && up(i) !== null);
  const timed = [...new Map(found.map((i) => [columns.arch_id[i], i])).values()];
  const [x, y] = [across, up].map((value) => ranks(timed, value));
  drawPlot(host, {
    id: "ranks", aspect: 0.8, empty: "missing: not timed on this hardware", points: timed,
    x: (i) => x.get(i), y: (i) => y.get(i),
    lines: [{ kind: "zero", points: [[1, 1], [timed.length, timed.length]] }],
    xLabel: `rank by ${apart ? `${stage}, ${other.name}` : measures.get(COST).label}`,
    yLabel: `rank by ${stage}, ${device.name}`,
  });
}

const several = (options) => (options.length > 1 ? options : []);

function drawControls() {
  const axes = data.measures.map((measure) => [measure.name, measure.title]);
  const choices = [
    ["dataset", "Image set", data.datasets.map((d) => [d.name, `${d.name} (${d.images} images)`])],
    ["codec", "Codec", several(codecsShown().map((codec) => [codec, codec]))],
    ["x", "Across", axes], ["y", "Up", axes],
    ["hardware", "Decode times of", data.devices.map((d) => [d.id, d.name])],
    ["against", "Ranks against", data.devices.length ? [["", measures.get(COST).label],
      ...data.devices.filter((d) => d.id !== state.hardware).map((d) => [d.id, d.name])] : []],
    ["steps", "Steps", [["", "all"], ...distinct("steps").sort((a, b) => a - b).map((v) => [String(v), number(v)])]],
    ["lmbda", "Lambda", [["", "all"], ...distinct("lmbda").sort((a, b) => a - b).map((v) => [String(v), String(v)])]],
    ["cost", "Cost axis", [["log", "log"], ["linear", "linear"]]],
    ["time", "Time axis", [["log", "log"], ["linear", "linear"]]],
  ];
  renew("selects", ...selects(choices), element("button", { type: "button", id: "reset", onclick: reset }, "Reset"));
  renew("families", ...data.families.map((style) => toggle("hidden", style.family, marker(style), style.family)), ...gapKey());
}

// New controls for old ones; what had the focus has it again.
function renew(id, ...controls) {
  const focused = document.activeElement && document.activeElement.id;
  document.getElementById(id).replaceChildren(...controls);
  if (focused && document.activeElement.id !== focused && document.getElementById(focused)) {
    document.getElementById(focused).focus();
  }
}

// Of choices [key of the state, title, options]; without options, none.
function selects(choices) {
  return choices.filter(([, , options]) => options.length).map(([key, title, options]) => {
    const select = element("select", { id: `select-${key}`, onchange: () => { state[key] = select.value; refresh(); } },
      ...options.map(([value, text]) => element("option", { value, selected: state[key] === value }, text)));
    return element("label", {}, title, select);
  });
}

// A button that hides the points of a family, or shows them again; state[key] lists them.
function toggle(key, family, icon, text) {
  const hidden = listed(key);
  const change = () => {
    if (!hidden.delete(family)) hidden.add(family);
    state[key] = [...hidden].join(",");
    refresh();
  };
  return element("button", { type: "button", class: "chip", id: `${key === "hidden" ? "family" : key}-${family}`,
    "aria-pressed": String(!hidden.has(family)), onclick: change }, icon, text);
}

function gapKey() {
  const key = [];
  if (columns.differs_in.some(Boolean)) {
    key.push(element("span", { class: "chip" }, marker(data.families[0], true), "hollow: another recipe, data or code"));
  }
  const kinds = [];
  if (isKodak() && data.references.length) kinds.push("reference model, trained elsewhere");
  const others = new Set(otherCodecs().map((codec) => codec.family));
  if (others.has("overfitted")) kinds.push("codec overfitted to each image");
  if (others.has("classical")) kinds.push("classical codec at its best setting for the lambda");
  const diamond = (shape) => {
    const icon = svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
    icon.append(svg("path", { class: "reference", d: shape }));
    return icon;
  };
  if (kinds.length) key.push(element("span", { class: "chip" }, diamond(REFERENCE), kinds.join(", or ")));
  if (claims([state.x, state.y]).length) key.push(toggle("hidden", PUBLISHED, diamond(CLAIM), "published, not measured here"));
  for (const gap of Object.keys(GAPS)) {
    if (!columns.state.includes(gap)) continue;
    const icon = svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
    icon.append(svg("path", { class: "gap", d: GAPS[gap](0, 0) }));
    key.push(element("span", { class: "chip" }, icon, gap));
  }
  return key;
}

function reset() {
  Object.assign(state, defaults);
  tasksSelected = null;
  document.getElementById("search").value = "";
  setBrush([]);
}

function drawBars() {
  const host = document.getElementById("bars");
  if (!data.bars.length) {
    host.append(element("p", { class: "missing" }, "missing: costs were not counted yet"));
    return;
  }
  const colour = (k) => data.component_colours[k % data.component_colours.length];
  const total = (bar) => bar.values.reduce((a, b) => a + b, 0);
  const most = Math.max(...data.bars.map(total));
  host.append(element("div", { class: "key" }, ...data.components.map((name, k) =>
    element("span", {}, element("span", { class: "swatch", style: `background:${colour(k)}` }), name.replaceAll("_", " ")))));
  for (const bar of data.bars) {
    const parts = bar.values.map((value, k) => element("i", {
      style: `background:${colour(k)};width:${(88 * value) / most}%`,
      title: `${data.components[k].replaceAll("_", " ")}: ${number(value)} kFLOPs/px`,
    }));
    host.append(element("div", { class: "bar" }, element("span", { title: bar.label }, bar.label),
      element("div", {}, ...parts, element("em", {}, number(total(bar))))));
  }
}

readAddress();
document.getElementById("search").value = state.search;
document.getElementById("search").addEventListener("input", (event) => {
  state.search = event.target.value;
  writeAddress();
  drawTable(shownPoints());
});
document.getElementById("download").addEventListener("click", downloadCsv);
document.getElementById("clear-brush").addEventListener("click", () => setBrush([]));
document.getElementById("more").addEventListener("click", () => { rowsShown = Infinity; drawTable(shownPoints()); });
window.addEventListener("hashchange", () => { readAddress(); refresh(); });
let pending = 0, lastWidth = innerWidth;
window.addEventListener("resize", () => {
  if (innerWidth === lastWidth) return;
  lastWidth = innerWidth;
  clearTimeout(pending);
  pending = setTimeout(refresh, 150);
});
drawBars();
refresh();
