"""A chart of the comparison, as SVG: each row's times side by side, on a scale of powers of ten.

    PYTHONPATH=bench python3 -m vs_kvcached.chart bench/results/h100-vs-kvcached.json docs/images/h100-vs-kvcached.svg
"""

from __future__ import annotations

import json
import math
import sys
from html import escape
from typing import Any, Dict, List, Sequence, Tuple

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 330, 70, 46, 30
BAR, GAP = 12, 14

#: Key of a row, name in the legend, colour.
SERIES = [
    ("kvcachedMicroseconds", "kvcached", "#b8bcc4"),
    ("oursMicroseconds", "ours", "#2f6fdb"),
    ("driverMicroseconds", "driver calls that can't be avoided", "#e0a030"),
]


def svg(rows: Sequence[Dict[str, Any]], title: str) -> str:
    """Rows without a time are left out.

    :raises ValueError: No row has a time.
    """
    shown = [(row["work"], [(row.get(key), color) for key, _, color in SERIES if row.get(key)]) for row in rows]
    shown = [(work, bars) for work, bars in shown if bars]
    if not shown:
        raise ValueError("no row has a time to show")
    lowest, highest = _decades([value for _, bars in shown for value, _ in bars])
    height = TOP + sum(len(bars) * BAR + GAP for _, bars in shown) + BOTTOM

    def place(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - lowest) / (highest - lowest)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" font-family="sans-serif" font-size="11">'.format(WIDTH, height),
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="8" y="18" font-size="14">{0}</text>'.format(escape(title)),
    ]
    parts += _legend()
    for exponent in range(lowest, highest + 1):
        x = place(10.0**exponent)
        parts.append('<line x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}" stroke="#e4e6ea"/>'.format(x, TOP, height - BOTTOM))
        parts.append('<text x="{0:.1f}" y="{1}" text-anchor="middle" fill="#555">{2:g} µs</text>'.format(x, height - 12, 10.0**exponent))
    y = float(TOP + 4)
    for work, bars in shown:
        parts.append('<text x="{0}" y="{1:.1f}" text-anchor="end">{2}</text>'.format(LEFT - 8, y + len(bars) * BAR / 2 + 4, escape(work)))
        for value, color in bars:
            parts.append('<rect x="{0}" y="{1:.1f}" width="{2:.1f}" height="{3}" fill="{4}"/>'.format(LEFT, y, max(1.0, place(value) - LEFT), BAR - 2, color))
            parts.append('<text x="{0:.1f}" y="{1:.1f}" font-size="10">{2:.4g}</text>'.format(max(LEFT + 1.0, place(value)) + 4, y + BAR - 3, value))
            y += BAR
        y += GAP
    return "\n".join(parts + ["</svg>", ""])


def _decades(values: Sequence[float]) -> Tuple[int, int]:
    """Powers of ten around all values; at least one apart."""
    lowest = math.floor(math.log10(min(values)))
    return lowest, max(lowest + 1, math.ceil(math.log10(max(values))))


def _legend() -> List[str]:
    parts, x = [], LEFT
    for _, name, color in SERIES:
        parts.append('<rect x="{0}" y="26" width="10" height="10" fill="{1}"/><text x="{2}" y="35">{3}</text>'.format(x, color, x + 14, escape(name)))
        x += 30 + 6 * len(name)
    return parts


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1]) as file:
        rows = json.load(file)
    with open(sys.argv[2], "w") as file:
        file.write(svg(rows, "kvcached and ours on the same GPUs, medians (p99.9 where it says worst)"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
