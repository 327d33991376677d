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
    const value = across ? "x" : "y";
    const base = {
      name: series.name,
      hovertemplate: `%{${value}:,.6~f} ${spec.unit}`,
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

// Round steps, few enough to be read, told as the language counts: 1.5 M, 150 万.
const compact = (value, steps) => {
  const [size, name] = steps.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return `${(value / size).toLocaleString("en", { maximumFractionDigits: 6 })} ${name}`.trim();
};
const scaleOf = (spec) => {
  const sums = spec.labels.map((_, index) => spec.series.map((series) => series.values[index] ?? 0));
  const most = Math.max(...sums.map((values) => (spec.kind === "stack" ? values.reduce((a, b) => a + b, 0) : Math.max(...values))));
  const least = Math.min(0, ...sums.flat());
  if (!(most > least)) return {};
  const rough = (most - least) / (innerWidth < 600 && spec.kind === "hbar" ? 3 : 5);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const from = Math.floor(least / step);
  const tickvals = Array.from({ length: Math.floor(most / step) - from + 2 }, (_, index) => Number(((from + index) * step).toPrecision(12)));
  return { tickvals, ticktext: tickvals.map((value) => compact(value, spec.steps)) };
};

const layoutOf = (spec) => {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true, fixedrange: true };
  const values = { ...axis, title: { text: spec.unit, standoff: 8 }, rangemode: "tozero", ...scaleOf(spec) };
  const labels = { ...axis, type: "category", showgrid: false, title: { text: spec.zone, standoff: 4 } };
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
