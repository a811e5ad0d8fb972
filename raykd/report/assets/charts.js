"use strict";
// Draws the charts from the JSON next to them: first those that are seen, the others when idle.
const config = {
  displaylogo: false,
  responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function loadPlotly() {
  if (window.Plotly) return;
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly-packed");
  document.head.append(script);
}

const NARROW = 600, LONG = 14; // pixels of a chart, characters of a line of a name

// Names at the left take several lines on a narrow screen, which leaves room for the data.
function breakNames({ data, layout }, width) {
  if (width > NARROW || layout.yaxis?.type !== "category") return;
  const names = [...new Set(data.flatMap((trace) => trace.y ?? []))];
  const inLines = (name) => name.split(/(?<=[-_/])/).reduce((lines, part) => {
    const last = lines.at(-1) + part;
    return last.length > LONG ? [...lines, part] : [...lines.slice(0, -1), last];
  }, [""]).join("<br>");
  Object.assign(layout.yaxis, { tickvals: names, ticktext: names.map(inLines) });
}

function draw(source) {
  if (source.dataset.drawn) return;
  source.dataset.drawn = "yes";
  const target = document.getElementById(source.dataset.plot);
  const spec = JSON.parse(source.textContent);
  breakNames(spec, target.clientWidth);
  Plotly.newPlot(target, spec.data, spec.layout, config).then(() => {
    target.on("plotly_click", (event) => showTrial(event.points[0]));
  });
}

function showTrial(point) {
  const id = Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
  const row = [...document.querySelectorAll("tr[data-trial]")].find((r) => r.dataset.trial === id);
  if (!row) return;
  row.hidden = false;
  row.querySelector("details").open = true;
  row.scrollIntoView({ block: "center" });
}

function drawCharts() {
  const waiting = [...document.querySelectorAll("script[data-plot]")];
  const of = new Map(waiting.map((s) => [document.getElementById(s.dataset.plot), s]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(of.get(entry.target));
  }, { rootMargin: "300px" });
  for (const target of of.keys()) seen.observe(target);
  const idle = window.requestIdleCallback ?? ((f) => setTimeout(f, 50));
  const next = () => {
    const source = waiting.shift();
    if (!source) return;
    draw(source);
    idle(next, { timeout: 200 }); // a page that is never idle draws them, too
  };
  idle(next, { timeout: 200 });
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.arm")) details.open = true;
    for (const source of of.values()) draw(source);
  });
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      for (const plot of details.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(plot);
    });
  }
}

loadPlotly().then(drawCharts, () => {
  for (const target of document.querySelectorAll(".plot")) {
    target.style.height = "auto";
    target.textContent = "The library of the charts cannot be loaded; the numbers are below.";
  }
});
