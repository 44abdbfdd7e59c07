// Tasks behind a codec: a panel of their methods, and the table of these.
const tasks = data.tasks;
const taskMeasures = new Map(tasks ? [...tasks.measures, ...tasks.axes].map((measure) => [measure.name, measure]) : []);
let tasksSelected = null; // points, one a seed; null: all

const methodOf = (column, i) => tasks.methods[column][tasks.points.row[i]];

// Points of the panel, as SWEEP.
const TASKS = tasks && {
  styles: new Map(tasks.families.map((style) => [style.family, style])),
  family: (i) => methodOf("label", i),
  isHollow: (i) => !methodOf("compares", i),
  isFaded: (i) => tasksSelected !== null && !tasksSelected.has(i),
  name: () => null,
  title: (i) => `${methodOf("method", i)} ${methodOf("setting", i)}`,
  details: (i) => facts([
    ["seed", tasks.points.seed[i]], ["photographs", number(methodOf("image_count", i))],
    ...[...tasks.measures, ...tasks.axes].map(({ name, title }) => [title, number(tasks.points[name][i], "none")]),
  ]),
  select: (points) => { tasksSelected = points.length ? new Set(points) : null; refresh(); },
};

const TASK_TABLE = tasks && [
  { key: "label", title: "Method", value: (k) => tasks.methods.label[k],
    icon: (k) => (tasks.methods.is_reference[k] ? "" : marker(TASKS.styles.get(tasks.methods.label[k]))) },
  { key: "setting", title: "Setting", value: (k) => tasks.methods.setting[k] },
  ...[
    ["seeds", "Seeds"], ["image_count", "Photographs"], ["bytes_per_datum", "Bytes"],
    ...tasks.measures.flatMap(({ name, title, error }) => [[name, title], [error, "standard error"]]),
    ...tasks.axes.slice(1).map(({ name, title }) => [name, title]),
  ].map(([key, title]) => ({ key, title, none: "–", number: (k) => tasks.methods[key][k] })),
];

function drawTasks() {
  if (!tasks) return;
  drawTaskControls();
  const { methods, points } = tasks, hidden = listed("task_hidden");
  const isShown = (k) => methods.name[k] === state.task && !hidden.has(methods.label[k]);
  const shown = methods.label.map((_, k) => k).filter(isShown);
  const known = (values, k) => values[state.task_x][k] > 0 && values[state.task_y][k] !== null;
  const drawn = shown.filter((k) => known(methods, k));
  drawTaskPlot(points.row.map((_, i) => i).filter((i) => isShown(points.row[i])
    && !methods.is_reference[points.row[i]] && known(points, i)), drawn, shown);
  drawTaskNote(shown, drawn);
  const selected = tasksSelected && new Set([...tasksSelected].map((i) => points.row[i]));
  const rows = shown.filter((k) => selected === null || selected.has(k));
  const front = new Set(taskFront(drawn));
  drawRows("task-methods", sortedBy(rows, TASK_TABLE, "task_sort", "task_order"), TASK_TABLE, "task_sort", "task_order",
    (k) => ({ class: front.has(k) ? "star" : "" }));
  document.getElementById("tasks-count").textContent =
    `${number(rows.length)} of ${number(shown.length)} methods and settings` + (selected ? ", selected in the plot" : "");
  document.getElementById("clear-tasks").hidden = selected === null;
}

function drawTaskControls() {
  const named = (list) => list.map(({ name, title }) => [name, title]);
  renew("task-selects", ...selects([
    ["task", "Task", several(tasks.names.map((name) => [name, name]))],
    ["task_x", "Across", named(tasks.axes)], ["task_y", "Up", named(tasks.measures)],
  ]));
  renew("task-families", ...tasks.families.map((style) => toggle("task_hidden", style.family, marker(style), style.family)));
}

// Of methods, by means over their seeds, those that no other one dominates.
function taskFront(methods) {
  const { [state.task_x]: across, [state.task_y]: up } = tasks.methods;
  const sign = taskMeasures.get(state.task_y).minimise ? 1 : -1;
  return nondominated(methods.filter((k) => tasks.methods.compares[k] && !tasks.methods.is_reference[k])
    .map((i) => ({ i, costs: [across[i], sign * up[i]] })));
}

function drawTaskPlot(points, drawn, shown) {
  const { task_x: x, task_y: y } = state, { methods } = tasks;
  const at = (k) => [methods[x][k], methods[y][k]];
  const references = drawn.filter((k) => methods.is_reference[k]).map((k) => ({
    model: { label: methods.label[k] }, x: methods[x][k], y: methods[y][k],
    title: `${methods.label[k]}: ${taskMeasures.get(y).title} ${number(methods[y][k])}`,
  }));
  const curves = new Map();
  for (const k of drawn.filter((k) => !methods.is_reference[k])) { // by bytes
    const key = methods.label[k] + methods.run_id[k];
    curves.set(key, [...(curves.get(key) || []), k]);
  }
  const lines = [...curves.values()].map((own) => ({
    kind: "own-curve", colour: TASKS.styles.get(methods.label[own[0]]).colour, points: own.map(at),
  }));
  lines.push(staircase(taskFront(drawn), ...[0, 1].map((axis) => (k) => at(k)[axis])));
  const teacher = shown.find((k) => methods.label[k] === "remote");
  const xDomain = range([...points.map((i) => tasks.points[x][i]), ...references.map((m) => m.x)], true);
  const heights = [...points.map((i) => tasks.points[y][i]), ...references.map((m) => m.y)];
  if (teacher !== undefined) {
    heights.push(methods[y][teacher]);
    lines.push({ kind: "baseline", dash: "6 3", name: "teacher", points: xDomain.map((value) => [value, methods[y][teacher]]) });
  }
  drawPlot(document.getElementById("plot-tasks"), {
    id: "tasks", of: TASKS, aspect: 0.46, empty: "missing: no method has this", points, lines, references,
    x: (i) => tasks.points[x][i], y: (i) => tasks.points[y][i],
    xDomain, xLog: true, yDomain: range(heights), xLabel: taskMeasures.get(x).title, yLabel: taskMeasures.get(y).title,
  });
}

function drawTaskNote(shown, drawn) {
  const leftOut = shown.filter((k) => !drawn.includes(k));
  const [across, up] = [state.task_x, state.task_y].map((name) => taskMeasures.get(name));
  const names = [...new Set(leftOut.map((k) => tasks.methods.label[k]))].join(", ");
  document.getElementById("tasks-note").textContent =
    `Points are seeds, lines their means by setting. Better: less ${across.title}, ${up.minimise ? "less" : "more"} ${up.title}. ` +
    "The black staircase joins the means that none dominates, bold in the table. remote: the teacher is sent the " +
    "photographs as they are; local: the device holds all of it and sends none." +
    (shown.every((k) => tasks.methods.compares[k]) ? "" : " Hollow, and on no frontier: not all photographs are answered yet.") +
    (leftOut.length ? ` ${leftOut.length} of ${shown.length} have no ${across.title} and are left out: ${names}.` : "");
}

if (tasks) {
  document.getElementById("clear-tasks").addEventListener("click", () => TASKS.select([]));
  // Of a sweep of tasks alone, the rest of the page has nothing to show.
  const isAlone = !everyPoint.length && !data.classical.length && !data.other_codecs.length;
  for (const part of document.querySelectorAll("#controls, main > section:not(#tasks)")) part.hidden = isAlone;
}
