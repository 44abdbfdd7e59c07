// The page: controls, what each plot shows, and when they are drawn.
const COST = "decoder cost (kFLOPs per pixel)";

function refresh() {
  writeAddress();
  const points = shownPoints();
  const fronts = frontiers(points);
  starred = new Set(fronts.flat());
  drawControls();
  drawFrontier(points, fronts);
  drawTimes(points);
  drawQuality(points);
  drawTable(points);
}

function setBrush(points) {
  brushed = points && points.size ? points : null;
  rowsShown = PAGE;
  refresh();
}

function drawFrontier(points, fronts) {
  const counted = points.filter((i) => columns.kflops_per_px[i] !== null);
  const steps = fronts.map((front) => ({
    kind: "staircase",
    points: front.flatMap((i, k) => {
      const corner = [columns.kflops_per_px[i], columns.rd_loss[i]];
      return k ? [[corner[0], columns.rd_loss[front[k - 1]]], corner] : [corner];
    }),
  }));
  const losses = new Set(points.map((i) => lossOf(columns.lmbda[i], columns.distortion[i])));
  const distortions = new Set(points.map((i) => columns.distortion[i]));
  drawPlot(document.getElementById("plot-frontier"), {
    id: "frontier", aspect: 0.46, empty: "missing: no run was measured and no cost counted",
    points: counted.filter(isMeasured), gaps: counted.filter((i) => !isMeasured(i)), lines: steps,
    x: (i) => columns.kflops_per_px[i], y: (i) => columns.rd_loss[i],
    xLabel: COST, xLog: state.cost === "log",
    yLabel: `RD loss (bpp + lambda · ${[...distortions].join(" or ").toUpperCase().replace("_", "-")})`,
    references: references(["kflops_per_px", "rd_loss"]).filter(({ model }) => losses.has(lossOf(model.lmbda, model.distortion))),
  });
}

function drawTimes(points) {
  const host = document.getElementById("plot-times");
  const byArchitecture = new Map(points.map((i) => [columns.arch_id[i], i]));
  for (const i of points) if (isMeasured(i)) byArchitecture.set(columns.arch_id[i], i);
  const architectures = [...byArchitecture.values()];
  host.replaceChildren(...data.stages.map((stage) => {
    const panel = element("div", {}, element("h3", {}, stage.replaceAll("_", " ")), element("div", { class: "plot" }));
    return panel;
  }));
  data.stages.forEach((stage, k) => drawPlot(host.children[k].lastChild, {
    id: `times-${stage}`, aspect: 0.8, empty: "missing: not timed on this hardware",
    points: architectures.filter((i) => decode("decode_ms", stage, i) !== null && columns.kflops_per_px[i] !== null),
    x: (i) => columns.kflops_per_px[i], y: (i) => decode("decode_ms", stage, i),
    whisker: (i) => [decode("decode_ms_q25", stage, i), decode("decode_ms_q75", stage, i)],
    xLabel: "kFLOPs per pixel", yLabel: "decode time (ms)",
    xLog: state.cost === "log", yLog: state.time === "log",
  }));
}

// Reference models of the project, where the image set is theirs: Kodak.
function references([x, y]) {
  return isKodak() ? data.references.map((model) => ({ model, x: model[x], y: model[y] })) : [];
}

function isKodak() {
  const dataset = data.datasets.find((d) => d.name === state.dataset);
  return Boolean(dataset && dataset.kodak);
}

const DASHES = ["1 3", "7 4", "7 3 1 3", "14 4"];

function drawQuality(points) {
  const dataset = data.datasets.find((d) => d.name === state.dataset);
  const kodak = isKodak(), models = references(["bpp", "psnr_db"]);
  const note = document.getElementById("kodak-note");
  note.className = kodak ? "note" : "notice";
  note.replaceChildren(kodak
    ? "Dashed grey: published points of other codecs on the same 24 images, sources below. Grey diamonds: this project's reference models, labelled with their steps. PSNR in RGB, mean over images; rate from all bytes of the files."
    : element("b", {}, `NOT COMPARABLE: these points are of ${dataset ? `"${dataset.name}"` : "no image set yet"}, the pale curves are published for the 24 Kodak images.`),
    kodak ? "" : " Evaluate on Kodak to compare with them.");
  const measured = points.filter(isMeasured);
  // The window holds the published curves wherever own points have that rate.
  let xDomain = null, yDomain = null;
  if (measured.length) {
    const [low, high] = range([...measured.map((i) => columns.bpp[i]), ...models.map((m) => m.x)], false, 0.1);
    xDomain = [Math.max(low, 0), high];
    const published = data.baselines.flatMap((curve) =>
      xDomain.map((rate) => interpolate(curve.bpp, curve.psnr_db, rate))).filter((v) => v !== null);
    yDomain = range([...published, ...measured.map((i) => columns.psnr_db[i]), ...models.map((m) => m.y)], false, 1);
  }
  drawPlot(document.getElementById("plot-quality"), {
    id: "quality", aspect: 0.46, empty: "missing: no run was measured", points: measured,
    x: (i) => columns.bpp[i], y: (i) => columns.psnr_db[i],
    xDomain, yDomain, references: models,
    lines: data.baselines.map((curve, k) => ({
      kind: kodak ? "baseline" : "baseline foreign", dash: DASHES[k % DASHES.length], name: curve.label,
      points: curve.bpp.map((rate, j) => [rate, curve.psnr_db[j]]),
    })),
    xLabel: "rate of the coded files (bits per pixel)", yLabel: "PSNR in RGB (dB)",
  });
}

function drawControls() {
  const focused = document.activeElement && document.activeElement.id;
  const choices = [
    ["dataset", "Image set", data.datasets.map((d) => [d.name, `${d.name} (${d.images} images)`])],
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
  if (isKodak() && data.references.length) {
    const icon = svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
    icon.append(svg("path", { class: "reference", d: REFERENCE }));
    key.push(element("span", { class: "chip" }, icon, "reference model, trained elsewhere"));
  }
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
