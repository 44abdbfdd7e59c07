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
const distinct = (name) => [...new Set(columns[name])].filter((v) => v !== null);

const defaults = {
  dataset: data.datasets.length ? data.datasets[0].name : "",
  hardware: data.devices.length ? data.devices[0].id : "",
  steps: "", lmbda: "", cost: "log", time: "log",
  hidden: "", search: "", sort: "kflops_per_px", order: "up",
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

const hiddenFamilies = () => new Set(state.hidden.split(",").filter(Boolean));

// Points that pass the filters, the search of the table apart.
function shownPoints() {
  const hidden = hiddenFamilies();
  return everyPoint.filter((i) =>
    !hidden.has(columns.family[i]) &&
    (columns.dataset[i] === null || columns.dataset[i] === state.dataset) &&
    (!state.steps || String(columns.steps[i]) === state.steps) &&
    (!state.lmbda || String(columns.lmbda[i]) === state.lmbda));
}

const isMeasured = (i) => columns.state[i] === "measured" && columns.rd_loss[i] !== null;
const label = (i) => columns.name[i] || columns.run_id[i].slice(0, 8);

function decode(statistic, stage, i) {
  const column = columns[`${statistic}.${state.hardware}.${stage}`];
  return column ? column[i] : null;
}

// Losses that weigh another distortion, or weigh it otherwise, do not compare.
const lossOf = (lmbda, distortion) => `${lmbda} ${distortion}`;

// Non-dominated in (kFLOPs/px, RD loss) among measured points of one loss each.
function frontiers(points) {
  const byLoss = new Map();
  for (const i of points) {
    if (!isMeasured(i) || columns.kflops_per_px[i] === null) continue;
    const key = lossOf(columns.lmbda[i], columns.distortion[i]);
    if (!byLoss.has(key)) byLoss.set(key, []);
    byLoss.get(key).push(i);
  }
  return [...byLoss.values()].map((group) => {
    const cost = columns.kflops_per_px, loss = columns.rd_loss;
    group.sort((a, b) => cost[a] - cost[b] || loss[a] - loss[b]);
    const front = [];
    for (const i of group) {
      const last = front.at(-1);
      const equal = last !== undefined && cost[i] === cost[last] && loss[i] === loss[last];
      if (last === undefined || loss[i] < loss[last] || equal) front.push(i);
    }
    return front;
  });
}
