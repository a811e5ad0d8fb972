"use strict";
// Draws the charts from the JSON beside them; sorts and filters tables; copies text. Nothing else.
const config = {
  displaylogo: false,
  responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

function draw() {
  for (const source of document.querySelectorAll("script[data-plot]")) {
    const target = document.getElementById(source.dataset.plot);
    const spec = JSON.parse(source.textContent);
    Plotly.newPlot(target, spec.data, spec.layout, config).then(() => {
      target.on("plotly_click", (event) => showTrial(event.points[0]));
    });
  }
}

function showTrial(point) {
  const id = Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
  const row = [...document.querySelectorAll("tr[data-trial]")].find((r) => r.dataset.trial === id);
  if (!row) return;
  row.hidden = false;
  row.querySelector("details").open = true;
  row.scrollIntoView({ block: "center" });
}

function cellValue(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function sortBy(button) {
  const head = button.closest("th");
  const body = head.closest("table").tBodies[0];
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const rows = [...body.rows].sort(
    (a, b) => compare(cellValue(a, head.cellIndex), cellValue(b, head.cellIndex)) * (rising ? 1 : -1)
  );
  body.append(...rows);
}

function filterRows(box) {
  const words = box.value.toLowerCase().split(/\s+/);
  const rows = [...document.querySelectorAll("tr[data-trial]")];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("filter-count").textContent = `${left} of ${rows.length} trials`;
}

function copyText(button) {
  const source = document.getElementById(button.dataset.copy);
  const done = () => { button.textContent = "Copied"; };
  // The clipboard is closed to pages opened from disk in some browsers: select the text instead.
  const select = () => {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl-C";
  };
  if (navigator.clipboard) navigator.clipboard.writeText(source.textContent).then(done, select);
  else select();
}

draw();
for (const b of document.querySelectorAll("th button")) b.addEventListener("click", () => sortBy(b));
for (const b of document.querySelectorAll("[data-copy]")) {
  b.hidden = false;
  b.addEventListener("click", () => copyText(b));
}
const filterBox = document.getElementById("filter");
if (filterBox) filterBox.addEventListener("input", () => filterRows(filterBox));
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => {
    for (const plot of details.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(plot);
  });
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("figure details, details.arm")) details.open = true;
});
