"use strict";
// Sorts every table, and filters that of the trials.
function cellValue(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "" || text === "n/a") return null;
  const number = Number(text.replace(/,/g, "").replace(/ %$/, ""));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function sortBy(head) {
  const body = head.closest("table").tBodies[0];
  const before = head.getAttribute("aria-sort");
  const first = head.dataset.first ?? "ascending"; // the better end of a score comes first
  const other = first === "ascending" ? "descending" : "ascending";
  const order = before === first ? other : first;
  for (const one of head.parentElement.cells) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [cellValue(row, head.cellIndex), row]);
  const known = rows.filter(([value]) => value !== null);
  known.sort(([a], [b]) => sign * compare(a, b));
  const unknown = rows.filter(([value]) => value === null); // last, whichever way
  body.append(...[...known, ...unknown].map(([, row]) => row));
}

function makeSortable(table) {
  if (!table.tHead || table.tBodies[0].rows.length < 2) return;
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(head));
    head.append(button);
  }
}

const TESTS = {
  "=": (a, b) => a === b, "<": (a, b) => a < b, ">": (a, b) => a > b,
  "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
};

// "lr<1e-3" looks at one column, whose name may be cut short; anything else at the whole row.
function passes(row, names, word) {
  const [, name, sign, text] = word.match(/^([^<>=]+)(<=|>=|=|<|>)(.+)$/) ?? [];
  const exact = names.indexOf(name);
  const column = exact >= 0 ? exact : names.findIndex((n) => name && n.startsWith(name));
  if (column < 0) return row.textContent.toLowerCase().includes(word);
  const value = cellValue(row, column);
  const wanted = typeof value === "number" ? Number(text) : text;
  if (value === null || Number.isNaN(wanted)) return false;
  return TESTS[sign](typeof value === "string" ? value.toLowerCase() : value, wanted);
}

function filterTrials(form) {
  const table = document.getElementById("trials-table");
  const names = [...table.tHead.rows[0].cells].map((c) => c.textContent.trim().toLowerCase());
  const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = [...form.querySelectorAll("select")].filter((s) => s.value);
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    const fits = chosen.every((s) => row.cells[names.indexOf(s.name)].textContent.trim() === s.value);
    row.hidden = !(fits && words.every((word) => passes(row, names, word)));
  }
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("filter-count").textContent = `${left} of ${rows.length} trials`;
}

for (const table of document.querySelectorAll("table")) makeSortable(table);
const filter = document.getElementById("filter");
if (filter) {
  filter.hidden = false;
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", () => filterTrials(filter));
}
