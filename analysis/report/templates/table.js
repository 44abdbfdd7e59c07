// Tables: the same points as the plots, sortable; that of all points also searchable and
// downloadable. A column has a `key`, a `title`, and a `number` or a `value` of a row.
const PAGE = 100;
let rowsShown = PAGE;
let starred = new Set();

const TABLE = [
  { key: "star", title: "Frontier", value: (i) => (starred.has(i) ? "★" : ""), sortable: (i) => (starred.has(i) ? 0 : 1) },
  { key: "name", title: "Name", value: label },
  { key: "family", title: "Family", value: (i) => columns.family[i],
    icon: (i) => marker(styles.get(columns.family[i]), Boolean(columns.differs_in[i])) },
  { key: "status", title: "Status", value: (i) => (columns.state[i] === "not evaluated" ? "not evaluated" : columns.status[i]) },
  ...data.measures.flatMap((measure) => (measure.per_hardware
    ? data.stages.map((stage) => ({
      key: `${measure.name}.${stage}`, title: `${stage.replaceAll("_", " ")}: ${measure.title}`,
      number: (i) => decode(measure.name, stage, i),
    }))
    : { key: measure.name, title: measure.title, number: (i) => columns[measure.name][i] })),
  ...data.measures.flatMap(({ label, interval }) => interval.map((key, k) => (
    { key, title: k ? "to (95 %)" : `${label}, from`, number: (i) => columns[key][i] }))),
  { key: "frontier_probability", title: "On the frontier in", number: (i) => columns.frontier_probability[i] },
  ...[["steps", "Steps"], ["batch_size", "Batch"], ["lmbda", "Lambda"]].map(
    ([key, title]) => ({ key, title, number: (i) => columns[key][i] })),
  { key: "codec", title: "Codec", value: (i) => columns.codec[i] || "missing" },
  { key: "differs_in", title: "Unlike most in", value: (i) => columns.differs_in[i].replaceAll("_", " ") },
  { key: "config", title: "Configuration", value: (i) => columns.config[i] },
  { key: "run_id", title: "Run", value: (i) => columns.run_id[i] },
];

// Paper has room for what most are compared by; the CSV has the rest.
const PRINTED = new Set(["star", "name", "family", "status", ...data.objectives, ...data.told,
  ...data.objectives.flatMap((name) => measures.get(name).interval), "frontier_probability", "lmbda", "differs_in"]);
for (const column of TABLE) column.isUnprinted = !PRINTED.has(column.key);

function tablePoints(points) {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = ["label", "run_id", "family", "status", "config"];
  const found = points.filter((i) => {
    if (brushed !== null && !brushed.has(i)) return false;
    if (!words.length) return true;
    const text = texts.map((name) => columns[name][i] || "").join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return sortedBy(found, TABLE, "sort", "order");
}

// By the column that state[by] names, in the order of state[order].
function sortedBy(rows, table, by, order) {
  const column = table.find((c) => c.key === state[by]) || table.find((c) => c.key === defaults[by]);
  const value = column.number || column.sortable || column.value;
  const sign = state[order] === "down" ? -1 : 1;
  return rows.sort((a, b) => {
    const [p, q] = [value(a), value(b)];
    if (p === q) return a - b;
    if (p === null || p === "") return 1; // what is missing comes last either way
    if (q === null || q === "") return -1;
    return (p < q ? -1 : 1) * sign;
  });
}

function drawTable(points) {
  const rows = tablePoints(points);
  drawRows("points", rows.slice(0, rowsShown), TABLE, "sort", "order", (i) => ({
    class: starred.has(i) ? "star" : columns.state[i] === "measured" ? "" : "gap", "data-run": columns.run_id[i],
  }));
  document.getElementById("count").textContent =
    `${number(rows.length)} of ${number(points.length)} points` +
    (brushed === null ? "" : ", selected in a plot");
  document.getElementById("clear-brush").hidden = brushed === null;
  const more = document.getElementById("more");
  more.hidden = rows.length <= rowsShown;
  more.textContent = `Show all ${number(rows.length)} rows`;
}

// Head and rows of the table `id`; `attributes` of each row.
function drawRows(id, rows, table, by, order, attributes) {
  const head = element("tr");
  for (const column of table) {
    const active = column.key === state[by];
    const sorted = !active ? "none" : state[order] === "down" ? "descending" : "ascending";
    const arrow = !active ? "" : state[order] === "down" ? " ▼" : " ▲";
    head.append(element("th", { scope: "col", class: classes(column), "aria-sort": sorted, "data-key": column.key },
      element("button", { type: "button", onclick: () => sortBy(id, column.key, by, order) }, column.title + arrow)));
  }
  const body = element("tbody", {}, ...rows.map((i) =>
    element("tr", attributes(i), ...table.map((column) => cell(column, i)))));
  document.getElementById(id).replaceChildren(element("thead", {}, head), body);
}

const classes = (column) => `${column.number ? "number" : ""} ${column.isUnprinted ? "unprinted" : ""}`.trim();

function cell(column, i) {
  if (column.number) {
    const value = column.number(i);
    return element("td", { class: value === null ? `${classes(column)} missing` : classes(column) }, number(value, column.none));
  }
  const node = element("td", { class: classes(column) });
  if (column.icon) {
    node.append(column.icon(i), element("span", { class: "chip-text" }, ` ${column.value(i)}`));
  } else {
    node.append(column.value(i));
  }
  return node;
}

function sortBy(id, key, by, order) {
  state[order] = state[by] === key && state[order] === "up" ? "down" : "up";
  state[by] = key;
  refresh();
  document.querySelector(`#${id} th[data-key="${key}"] button`).focus();
}

function downloadCsv() {
  const quote = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = [TABLE.map((column) => column.key).join(",")];
  for (const i of tablePoints(shownPoints())) {
    lines.push(TABLE.map((column) => {
      const value = column.number ? column.number(i) : column.value(i);
      return value === null ? "" : quote(String(value));
    }).join(","));
  }
  const url = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  element("a", { href: url, download: "points.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
