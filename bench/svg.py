"""Pictures of measurements as SVG: panels of lines over one axis, and bars. Plain text, the same for the same figures, readable on
light and on dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 720, 64, 24
PANEL, GAP, TOP = 150, 66, 40
_STYLE = """<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .dim { fill: #57606a; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  .s0 { stroke: #0969da; } .s1 { stroke: #bc4c00; } .s2 { stroke: #1a7f37; } .s3 { stroke: #8250df; }
  .f0 { fill: #0969da; } .f1 { fill: #bc4c00; } .f2 { fill: #1a7f37; } .f3 { fill: #8250df; }
  .line { fill: none; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .dim { fill: #8d96a0; } .grid { stroke: #30363d; }
    .s0 { stroke: #4493f8; } .s1 { stroke: #f0883e; } .s2 { stroke: #3fb950; } .s3 { stroke: #ab7df8; }
    .f0 { fill: #4493f8; } .f1 { fill: #f0883e; } .f2 { fill: #3fb950; } .f3 { fill: #ab7df8; }
  }
</style>"""


@dataclass(frozen=True)
class Line:
    """One line: what it shows, and its points."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False  # each point is a measurement to be seen by itself


@dataclass(frozen=True)
class Panel:
    """Lines over the same axis, from zero."""

    title: str
    lines: Sequence[Line]


def ticks(most: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to at least `most`."""
    rough = most / about or 1.0
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    return [step * n for n in range(math.ceil(most / step - 1e-9) + 1)]


def number(value: float) -> str:
    """As short as it can be."""
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def panels(title: str, across: str, wanted: Sequence[Panel]) -> str:
    """Panels below each other; `across`: what the common axis is."""
    most_x = max(x for panel in wanted for line in panel.lines for x, _ in line.points)
    xs = ticks(most_x, 6)
    height = TOP + len(wanted) * (PANEL + GAP) + 10
    out = [_head(height, title)]
    for index, panel in enumerate(wanted):
        top = TOP + index * (PANEL + GAP) + 16
        ys = ticks(max((y for line in panel.lines for _, y in line.points), default=1.0))

        def at(x: float, y: float, top: float = top, ys: list[float] = ys) -> tuple[float, float]:
            across_px = LEFT + (WIDTH - LEFT - RIGHT) * x / xs[-1]
            return round(across_px, 1), round(top + PANEL * (1 - y / ys[-1]), 1)

        out.append(f'<text class="title" x="{LEFT}" y="{top - 12}">{escape(panel.title)}</text>')
        for y in ys:
            px = at(0, y)[1]
            out.append(f'<line class="grid" x1="{LEFT}" y1="{px}" x2="{WIDTH - RIGHT}" y2="{px}"/>')
            out.append(f'<text class="dim" x="{LEFT - 6}" y="{px + 4}" text-anchor="end">{number(y)}</text>')
        for x in xs:
            out.append(
                f'<text class="dim" x="{at(x, 0)[0]}" y="{top + PANEL + 16}" text-anchor="middle">{number(x)}</text>'
            )
        for n, line in enumerate(panel.lines):
            where = [at(x, y) for x, y in line.points]
            out.append(f'<polyline class="line s{n}" points="{" ".join(f"{x},{y}" for x, y in where)}"/>')
            if line.dots:
                out += [f'<circle class="f{n}" cx="{x}" cy="{y}" r="3"/>' for x, y in where]
        out.append(_names([line.name for line in panel.lines], top + PANEL + 32))
    out.append(
        f'<text class="dim" x="{WIDTH - RIGHT}" y="{height - 8}" text-anchor="end">{escape(across)}</text></svg>'
    )
    return "\n".join(out) + "\n"


def bars(title: str, across: str, values: Sequence[tuple[str, float]]) -> str:
    """Bars from the least to the most, on a logarithmic axis: what they show lies orders of magnitude apart."""
    low = 10 ** math.floor(math.log10(min(value for _, value in values)))
    decades = math.ceil(math.log10(max(value for _, value in values) / low))
    left, right, row = 160, 70, 26
    height = TOP + row * len(values) + 44
    out = [_head(height, title)]

    def at(value: float) -> float:
        return round(left + (WIDTH - left - right) * math.log10(value / low) / decades, 1)

    for decade in range(decades + 1):
        x = at(low * 10**decade)
        out.append(f'<line class="grid" x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{TOP + row * len(values)}"/>')
        out.append(
            f'<text class="dim" x="{x}" y="{TOP + row * len(values) + 16}" text-anchor="middle">{number(low * 10**decade)}</text>'
        )
    for n, (name, value) in enumerate(sorted(values, key=lambda each: each[1])):
        y = TOP + row * n
        out.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        ours = name.startswith("weir")
        out.append(
            f'<rect class="f{0 if ours else 1}" x="{left}" y="{y + 3}" width="{at(value) - left:.1f}" height="16" rx="2"/>'
        )
        out.append(f'<text x="{at(value) + 6}" y="{y + 15}">{value:,.0f}</text>')
    out.append(
        f'<text class="dim" x="{WIDTH - RIGHT}" y="{height - 6}" text-anchor="end">{escape(across)}</text></svg>'
    )
    return "\n".join(out) + "\n"


def _head(height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
        f"{_STYLE}\n<title>{escape(title)}</title>\n"
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>'
    )


def _names(names: Sequence[str], y: float) -> str:
    """The colours, told beside each other."""
    out, x = [], float(LEFT)
    for n, name in enumerate(names):
        out.append(f'<rect class="f{n}" x="{x:.0f}" y="{y - 9}" width="10" height="10" rx="2"/>')
        out.append(f'<text class="dim" x="{x + 15:.0f}" y="{y}">{escape(name)}</text>')
        x += 15 + 6.6 * len(name) + 22
    return "\n".join(out)
