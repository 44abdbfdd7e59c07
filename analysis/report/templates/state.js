// The data, the filters, and the address that holds them.
const data = JSON.parse(document.getElementById("data").textContent);
const styles = new Map(data.families.map((style) => [style.family, style]));
const columns = {};
for (const [name, column] of Object.entries(data.points)) {
  columns[name] = Array.isArray(column)
    ? column
    : column.codes.map((code) => (code < 0 ? null : column.values[code]));
}
const everyPoint = columns.run_id.map((_, i) => i);
const measures = new Map(data.measures.map((measure) => [measure.name, measure]));
const distinct = (name) => [...new Set(columns[name])].filter((v) => v !== null);

// What is chosen under Tasks; nothing where the sweep has none.
const TASK_DEFAULTS = data.tasks ? {
  task: data.tasks.names[0], task_x: data.tasks.axes[0].name, task_y: data.tasks.measures[0].name,
  task_hidden: "", task_sort: "bytes_per_datum", task_order: "up",
} : {};
const defaults = {
  dataset: data.datasets.length ? data.datasets[0].name : "",
  hardware: data.devices.length ? data.devices[0].id : "",
  codec: "", x: data.axes[0], y: data.axes[1],
  against: data.devices.length > 1 ? data.devices[1].id : "",
  steps: "", lmbda: "", cost: "log", time: "log",
  hidden: "", search: "", sort: "kflops_per_px", order: "up",
  ...TASK_DEFAULTS,
};
const state = { ...defaults };
let brushed = null; // a set of points, or null: all

function readAddress() {
  Object.assign(state, defaults);
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (key in defaults) state[key] = value;
  }
}

function writeAddress() {
  const changed = new URLSearchParams();
  for (const key in defaults) {
    if (state[key] !== defaults[key]) changed.set(key, state[key]);
  }
  const hash = changed.toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

// Names that a list of the address holds, commas between.
const listed = (key) => new Set(state[key].split(",").filter(Boolean));
const hiddenFamilies = () => listed("hidden");

// Codec settings of the points of the image set, commonest first; one at a time is shown.
const codecsShown = () =>
  data.codecs.filter((codec) => everyPoint.some((i) => columns.codec[i] === codec && ofDataset(i)));
const ofDataset = (i) => columns.dataset[i] === null || columns.dataset[i] === state.dataset;

// Points that pass the filters, the search of the table apart.
function shownPoints() {
  const hidden = hiddenFamilies(), codecs = codecsShown();
  const codec = codecs.includes(state.codec) ? state.codec : codecs[0];
  return everyPoint.filter((i) =>
    !hidden.has(columns.family[i]) && ofDataset(i) &&
    (columns.codec[i] === null || columns.codec[i] === codec) &&
    (!state.steps || String(columns.steps[i]) === state.steps) &&
    (!state.lmbda || String(columns.lmbda[i]) === state.lmbda));
}

const isMeasured = (i) => columns.state[i] === "measured" && columns.bpp[i] !== null;
const label = (i) => columns.label[i];

function decode(statistic, stage, i) {
  const column = columns[`${statistic}.${state.hardware}.${stage}`];
  return column ? column[i] : null;
}

// A measure of a point; of hardware, that of the network alone on the chosen one.
function valueOf(name, i) {
  return measures.get(name).per_hardware ? decode(name, data.stages[0], i) : columns[name][i];
}

// Its ends, where images were resampled; null without.
function interval(measure, i) {
  const ends = measure.interval.map((name) => columns[name][i]);
  return ends.length && ends[0] !== null ? ends : null;
}

// Of the frontier: those of the sweep, or the axes where others were chosen.
function objectives() {
  const chosen = state.x !== defaults.x || state.y !== defaults.y;
  return chosen ? [...new Set([state.x, state.y])] : data.objectives;
}

// Columns that points must be equal in to be compared by these measures.
const heldEqual = (names) => [...new Set(names.flatMap((name) => measures.get(name).within))];
const groupOf = (held, i) => held.map((name) => columns[name][i]).join(" ");

// Other conditions than most are no matter where the group holds them equal.
function compares(i, held) {
  const others = (columns.differs_in[i] || "").split(", ").filter(Boolean);
  return isMeasured(i) && others.every((name) => held.includes(name));
}

// Non-dominated in these measures, among points that compare: one list per group, best
// in the first measure first.
function frontiers(points, names) {
  const sign = names.map((name) => (measures.get(name).minimise ? 1 : -1));
  const groups = new Map(), held = heldEqual(names);
  for (const i of points) {
    const values = names.map((name) => valueOf(name, i));
    if (!compares(i, held) || values.includes(null)) continue;
    const key = groupOf(held, i);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push({ i, costs: values.map((value, k) => sign[k] * value) });
  }
  return [...groups.values()].map(nondominated);
}

// Of points { i, costs }, those that none of them dominates.
function nondominated(points) {
  const order = (a, b) => {
    const k = a.costs.findIndex((cost, n) => cost !== b.costs[n]);
    return k < 0 ? 0 : a.costs[k] - b.costs[k];
  };
  const front = []; // who dominates a point comes before it
  for (const point of points.sort(order)) {
    const dominated = front.some(({ costs }) =>
      costs.every((cost, k) => cost <= point.costs[k]) && costs.some((cost, k) => cost < point.costs[k]));
    if (!dominated) front.push(point);
  }
  return front.map(({ i }) => i);
}
