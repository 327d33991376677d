"use strict";
// Draws every figure of the page from the JSON beside it, in the colours of the style sheet.

const colour = (name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

const tracesOf = (spec) =>
  spec.series.map((series, index) => {
    const shade = colour(`chart-${(index % 6) + 1}`);
    const across = spec.kind === "hbar";
    const base = {
      name: series.name,
      x: across ? series.values : spec.labels,
      y: across ? spec.labels : series.values,
      hoverlabel: { namelength: -1 },
    };
    if (spec.kind === "line") {
      return { ...base, type: "scatter", mode: spec.labels.length > 40 ? "lines" : "lines+markers", line: { color: shade, width: 2 }, marker: { size: 5 } };
    }
    return { ...base, type: "bar", orientation: across ? "h" : "v", marker: { color: shade } };
  });

// Few enough labels that each can be read without turning the head; days without their year, hours without their day.
const shortened = (label) => (/^\d{4}-\d\d-\d\d \d/.test(label) ? label.slice(11) : /^\d{4}-\d\d-\d\d/.test(label) ? label.slice(5) : label);
const ticksOf = (spec) => {
  const step = Math.ceil(spec.labels.length / (innerWidth < 600 ? 5 : 8));
  const tickvals = spec.labels.filter((_, index) => index % step === 0);
  return { tickvals, ticktext: tickvals.map(shortened) };
};

const layoutOf = (spec) => {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true, fixedrange: true };
  const values = { ...axis, title: { text: spec.unit, standoff: 8 }, separatethousands: true, rangemode: "tozero" };
  const labels = { ...axis, type: "category", showgrid: false };
  return {
    barmode: spec.kind === "stack" ? "stack" : "group",
    bargap: 0.25,
    margin: { l: 8, r: 8, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("soft") },
    showlegend: spec.series.length > 1,
    legend: { orientation: "h", y: -0.2, x: 0, traceorder: "normal" },
    hovermode: spec.kind === "hbar" ? "closest" : "x unified",
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("line"), font: { color: colour("ink") } },
    xaxis: spec.kind === "hbar" ? values : { ...labels, ...ticksOf(spec), tickangle: 0 },
    yaxis: spec.kind === "hbar" ? { ...labels, autorange: "reversed" } : values,
  };
};

const draw = (plot) => {
  const source = plot.parentElement.querySelector("script[data-for]");
  const spec = JSON.parse(source.textContent);
  const options = { displayModeBar: false, responsive: true };
  Plotly.newPlot(plot, tracesOf(spec), layoutOf(spec), options).then(() => plot.setAttribute("data-drawn", ""));
};
const drawAll = (within) => within.querySelectorAll("[data-chart]:not([data-drawn])").forEach(draw);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-png]");
  if (!button) return;
  const plot = document.querySelector(`[data-chart="${CSS.escape(button.dataset.png)}"]`);
  const own = { paper_bgcolor: plot.layout.paper_bgcolor };
  Plotly.relayout(plot, { paper_bgcolor: colour("surface") })
    .then(() => Plotly.downloadImage(plot, { format: "png", width: 1200, height: 600, scale: 2, filename: button.dataset.file }))
    .then(() => Plotly.relayout(plot, own));
});
document.addEventListener("weir:fresh", (event) => drawAll(event.target));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.querySelectorAll("[data-chart][data-drawn]").forEach(draw);
});
drawAll(document);
