"""A bar chart as SVG, written as plain text."""

import statistics
from html import escape

from bench.results import Group

WIDTH, LEFT, RIGHT, BAR, STEP, TOP = 720, 170, 120, 18, 30, 48
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .bar { fill: #8fa3b8 }
  .first { fill: #2b6cb0 } .range { stroke: #333; stroke-width: 1.5 } .note { fill: #777 }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .range { stroke: #ddd } .note { fill: #999 } }
"""


def bars(group: Group) -> str:
    """Return a picture of the group: a bar for each median, a line from the least to the most."""
    most = max((value for row in group.rows for value in row.values), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / most
    lines = []
    for number, row in enumerate(group.rows):
        y = TOP + number * STEP
        lines.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(row.subject)}</text>')
        if not row.values:
            lines.append(f'<text class="note" x="{LEFT}" y="{y + 14}">not measured</text>')
            continue
        middle, low, high = statistics.median(row.values), min(row.values) * scale, max(row.values) * scale
        kind = "bar first" if number == 0 else "bar"
        lines.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{middle * scale:.1f}" height="{BAR}" rx="2"/>')
        across = f'x1="{LEFT + low:.1f}" x2="{LEFT + high:.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}"'
        lines.append(f'<line class="range" {across}/>')
        lines.append(f'<text x="{LEFT + high + 8:.1f}" y="{y + 14}">{middle:,.1f}</text>')
    height = TOP + len(group.rows) * STEP + 8
    title = escape(f"{group.name}: {group.unit}, median and range of {_rounds(group)} rounds")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">\n'
        f'<style>{STYLE}</style>\n<text class="title" x="8" y="24">{title}</text>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _rounds(group: Group) -> int:
    return max((len(row.values) for row in group.rows), default=0)
