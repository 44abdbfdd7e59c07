// The page: controls, what each plot shows, and when they are drawn.
function refresh() {
  writeAddress();
  const points = shownPoints();
  starred = new Set(frontiers(points, objectives()).flat());
  drawControls();
  drawFrontier(points);
  drawTimes(points);
  drawQuality(points);
  drawTable(points);
}

function setBrush(points) {
  brushed = points && points.size ? points : null;
  rowsShown = PAGE;
  refresh();
}

function drawFrontier(points) {
  const { x, y } = state, [across, up] = [measures.get(x), measures.get(y)];
  const placed = points.filter((i) => valueOf(x, i) !== null);
  const shown = placed.filter((i) => isMeasured(i) && valueOf(y, i) !== null);
  const steps = frontiers(points, [x, y]).map((front) => ({
    kind: "staircase",
    points: front.flatMap((i, k) => {
      const corner = [valueOf(x, i), valueOf(y, i)];
      return k ? [[corner[0], valueOf(y, front[k - 1])], corner] : [corner];
    }),
  }));
  const held = heldEqual([x, y]);
  const groups = new Set(shown.map((i) => groupOf(held, i)));
  drawFrontierNote(held, points);
  drawPlot(document.getElementById("plot-frontier"), {
    id: "frontier", aspect: 0.46, empty: "missing: no point has both of these",
    points: shown, gaps: placed.filter((i) => !isMeasured(i)), lines: steps,
    x: (i) => valueOf(x, i), y: (i) => valueOf(y, i),
    whisker: y === "rd_loss" ? (i) => [columns.rd_loss_low[i], columns.rd_loss_high[i]] : null,
    xLabel: titleOver(across, shown), xLog: across.log && state.cost === "log",
    yLabel: titleOver(up, shown), yLog: up.log || spansMuch(shown.map((i) => valueOf(y, i))),
    references: references([x, y]).filter(({ model }) =>
      !shown.length || groups.has(held.map((name) => model[name]).join(" "))),
  });
}

// A linear axis would show little but its largest values: one training of many went wrong.
const spansMuch = (values) => Math.min(...values) > 0 && Math.max(...values) > 30 * Math.min(...values);

// Of an axis: against what BD-rates are, of which device estimates are.
function titleOver(measure, points) {
  if (measure.name !== "rd_loss") {
    const told = measure.within.filter((name) => ["bd_window", "estimated_device_kind"].includes(name));
    return [measure.title, ...new Set(told.flatMap((name) => points.map((i) => columns[name][i])))].join(", ");
  }
  const distortions = [...new Set(points.map((i) => columns.distortion[i]))];
  return `${measure.title} (bpp + lambda · ${distortions.join(" or ").toUpperCase().replace("_", "-")})`;
}

function drawFrontierNote(held, points) {
  const better = (name) => `${measures.get(name).minimise ? "less" : "more"} ${measures.get(name).title}`;
  const among = held.length ? `, each among points of equal ${held.join(" and ")}` : "";
  const others = objectives().length > 2 ? ` ★ in the table: not dominated in ${objectives().map(better).join(", ")}.` : "";
  const apart = isKodak() && state.y === "rd_loss" && data.claims.length
    ? ` Published codecs are drawn over ${measures.get(CLAIMED).title} alone (choose it under Up): no RD loss that is a mean over images was published.` : "";
  const reasons = [state.x, state.y].includes("bd_rate_percent")
    ? [...new Set(points.map((i) => columns.bd_gap[i]).filter(Boolean))] : [];
  const gaps = reasons.length ? ` Points are missing where ${reasons.join("; or where ")}.` : "";
  document.getElementById("frontier-note").textContent =
    `Better: ${better(state.x)}, ${better(state.y)}. The black staircase joins the points that none of those ` +
    `that compare dominates${among}; hollow points are on none.${others}${apart}${gaps}`;
}

const COST = "kflops_per_px", CLAIMED = "rd_loss_of_mean_psnr";

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
function references([x, y]) {
  const known = [...(isKodak() ? [...data.references, ...data.claims] : []), ...otherCodecs()];
  return known.filter((model) => x in model && y in model).map((model) => ({ model, x: model[x], y: model[y] }));
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
  const curves = new Map();
  for (const i of measured) {
    const key = columns.curve[i];
    if (key >= 0) curves.set(key, [...(curves.get(key) || []), i]);
  }
  const own = [...curves.values()].map((points) => ({
    kind: "own-curve", colour: styles.get(columns.family[points[0]]).colour,
    points: points.map((i) => [columns.bpp[i], columns.psnr_db[i]]).sort((a, b) => a[0] - b[0]),
  }));
  return [
    ...data.published.map(line(kodak ? "baseline" : "baseline foreign", DASHES)),
    ...classical().map(line("classical", CLASSICAL_DASHES)), ...own,
  ];
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

function drawControls() {
  const focused = document.activeElement && document.activeElement.id;
  const axes = data.measures.map((measure) => [measure.name, measure.title]);
  const several = (options) => (options.length > 1 ? options : []);
  const choices = [
    ["dataset", "Image set", data.datasets.map((d) => [d.name, `${d.name} (${d.images} images)`])],
    ["codec", "Codec", several(codecsShown().map((codec) => [codec, codec]))],
    ["x", "Across", axes], ["y", "Up", axes],
    ["hardware", "Decode times of", data.devices.map((d) => [d.id, d.name])],
    ["steps", "Steps", [["", "all"], ...distinct("steps").sort((a, b) => a - b).map((v) => [String(v), number(v)])]],
    ["lmbda", "Lambda", [["", "all"], ...distinct("lmbda").sort((a, b) => a - b).map((v) => [String(v), String(v)])]],
    ["cost", "Cost axis", [["log", "log"], ["linear", "linear"]]],
    ["time", "Time axis", [["log", "log"], ["linear", "linear"]]],
  ];
  document.getElementById("selects").replaceChildren(
    ...choices.filter(([, , options]) => options.length).map(([key, title, options]) => {
      const select = element("select", { id: `select-${key}`, onchange: () => { state[key] = select.value; refresh(); } },
        ...options.map(([value, text]) => element("option", { value, selected: state[key] === value }, text)));
      return element("label", {}, title, select);
    }),
    element("button", { type: "button", id: "reset", onclick: reset }, "Reset"));
  const hidden = hiddenFamilies();
  document.getElementById("families").replaceChildren(...data.families.map((style) => {
    const toggle = () => {
      if (!hidden.delete(style.family)) hidden.add(style.family);
      state.hidden = [...hidden].join(",");
      refresh();
    };
    return element("button", { type: "button", class: "chip", id: `family-${style.family}`,
      "aria-pressed": String(!hidden.has(style.family)), onclick: toggle }, marker(style), style.family);
  }), ...gapKey());
  if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
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
  const diamond = (shape, text) => {
    const icon = svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
    icon.append(svg("path", { class: "reference", d: shape }));
    key.push(element("span", { class: "chip" }, icon, text));
  };
  if (kinds.length) diamond(REFERENCE, kinds.join(", or "));
  if (isKodak() && state.y === CLAIMED) diamond(CLAIM, "published, not measured here");
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
  document.getElementById("search").value = "";
  setBrush(null);
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
document.getElementById("clear-brush").addEventListener("click", () => setBrush(null));
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
