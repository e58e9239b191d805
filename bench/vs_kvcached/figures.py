"""Medians, tails and spreads, and the rows of the comparison. Nothing here touches a GPU."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence

#: Highest ratio to kvcached that counts as reached, by row. A row without one is shown beside them.
TARGETS = {
    "map one page id": 0.33,
    "unmap one page id": 0.33,
    "grow by 16 page ids, per page": 0.10,
    "shrink by 16 page ids, per page": 0.10,
    "per-layer, grow by 16 page ids, per page": 0.10,
    "allocate 16 blocks": 0.10,
    "worst allocation (p99.9) of the trace": 0.25,
    "GPU memory held idle, per GPU and model": 0.25,
}


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of all is not above. ``share`` is above 0 and at most 1."""
    if not samples or not 0 < share <= 1:
        raise ValueError("a percentile needs samples and a share above 0 and at most 1")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def summary(samples: Sequence[float]) -> Dict[str, float]:
    """Count, p10, median, p90, p99, p99.9, smallest and largest, in the samples' unit."""
    named = {"p10": 0.10, "p50": 0.50, "p90": 0.90, "p99": 0.99, "p999": 0.999}
    found: Dict[str, float] = {name: round(percentile(samples, share), 3) for name, share in named.items()}
    found.update(count=len(samples), smallest=round(min(samples), 3), largest=round(max(samples), 3))
    return found


def spread(samples: Sequence[float]) -> str:
    """The middle four fifths, for people."""
    return "{0:.4g} to {1:.4g}".format(percentile(samples, 0.10), percentile(samples, 0.90))


def make_row(
    work: str,
    ranks: int,
    kvcached: Optional[Dict[str, float]],
    ours: Optional[Dict[str, float]],
    driver_microseconds: Optional[float] = None,
    statistic: str = "p50",
    **facts: Any,
) -> Dict[str, Any]:
    """One row of the table. Times are microseconds; a side that wasn't measured is None, and then there is no ratio.

    :param statistic: Which of the :func:`summary` is compared.
    """
    theirs = None if kvcached is None else kvcached[statistic]
    own = None if ours is None else ours[statistic]
    row: Dict[str, Any] = {
        "work": "TP={0}, {1}".format(ranks, work),
        "kvcachedMicroseconds": theirs,
        "oursMicroseconds": own,
        "driverMicroseconds": None if driver_microseconds is None else round(driver_microseconds, 3),
        "ratio": ratio_of(own, theirs),
        "target": target_of(work, ranks),
        "statistic": statistic,
        "kvcached": kvcached,
        "ours": ours,
    }
    row.update(facts)
    return row


def make_bytes_row(work: str, ranks: int, kvcached_bytes: Optional[float], ours_bytes: Optional[float], **facts: Any) -> Dict[str, Any]:
    """A row about memory: its figures are bytes, and those of time are None."""
    row: Dict[str, Any] = {
        "work": "TP={0}, {1}".format(ranks, work),
        "kvcachedMicroseconds": None,
        "oursMicroseconds": None,
        "driverMicroseconds": None,
        "ratio": ratio_of(ours_bytes, kvcached_bytes),
        "target": target_of(work, ranks),
        "kvcachedBytes": kvcached_bytes,
        "oursBytes": ours_bytes,
    }
    row.update(facts)
    return row


def calls_of(rounds: Sequence[Dict[str, List[float]]], operations: int) -> Dict[str, Dict[str, float]]:
    """Driver calls in the timed part of one operation, of all processes of a system together, and their mean microseconds; by name."""
    totals: Dict[str, List[float]] = {}
    for part in rounds:
        for name, (number, microseconds) in part.items():
            total = totals.setdefault(name, [0, 0.0])
            total[0] += number
            total[1] += microseconds
    return {
        name: {"perOperation": round(number / operations, 2), "meanMicroseconds": round(microseconds / number, 1)}
        for name, (number, microseconds) in totals.items() if number
    }


def ratio_of(ours: Optional[float], theirs: Optional[float]) -> Optional[float]:
    """Ours over theirs; None where one is missing or theirs is nothing."""
    if ours is None or theirs is None or theirs <= 0:
        return None
    return round(ours / theirs, 4)


def target_of(work: str, ranks: int) -> Optional[float]:
    """Targets are those of two ranks."""
    return TARGETS.get(work) if ranks == 2 else None


def verdict(row: Dict[str, Any]) -> str:
    if row["target"] is None:
        return ""
    if row["ratio"] is None:
        return "not measured"
    return "reached" if row["ratio"] <= row["target"] else "missed"


def table(rows: Sequence[Dict[str, Any]]) -> str:
    """The rows for people, one a line."""
    titles = ["work", "kvcached", "ours", "driver", "ratio", "at most", "", "ours p10 to p90", "kvcached p10 to p90"]
    lines: List[List[str]] = [titles]
    for row in rows:
        if "oursBytes" in row:
            values = [_mib(row["kvcachedBytes"]), _mib(row["oursBytes"]), ""]
        else:
            values = [_us(row["kvcachedMicroseconds"]), _us(row["oursMicroseconds"]), _us(row["driverMicroseconds"])]
        ratio = "" if row["ratio"] is None else "{0:.3f}".format(row["ratio"])
        target = "" if row["target"] is None else "{0:.2f}".format(row["target"])
        lines.append([row["work"], *values, ratio, target, verdict(row), _range(row.get("ours")), _range(row.get("kvcached"))])
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i in (0, 6) else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    )


#: What the condition compares, as it is called in the facts, and for people.
CONDITION = [
    ("trace", "heldOverLive", "bytes held over bytes of live blocks, trace mean"),
    ("trace", "onGpuOverLive", "the same by the GPU's own count, kept handles included"),
    ("afterThePeak", "heldOverLive", "the same with scattered live blocks after the peak"),
    ("afterThePeak", "atBestOverLive", "... and with no page but those of live blocks"),
    ("afterThePeak", "returnedShare", "share of whole free pages returned within the decay time"),
]


def condition_table(condition: Dict[str, Any]) -> str:
    """What must hold for any ratio to count, for people."""
    lines = ["{0:<58} {1:>10} {2:>10}".format("condition", "kvcached", "ours")]
    for step, name, title in CONDITION:
        found = [condition.get(step, {}).get(who, {}).get(name) for who in ("kvcached", "ours")]
        lines.append("{0:<58} {1:>10} {2:>10}".format(title, *("" if value is None else "{0:.3f}".format(value) for value in found)))
    return "\n".join(lines)


def _us(value: Optional[float]) -> str:
    return "" if value is None else "{0:.1f} us".format(value)


def _mib(value: Optional[float]) -> str:
    return "" if value is None else "{0:.0f} MiB".format(value / (1 << 20))


def _range(found: Optional[Dict[str, float]]) -> str:
    return "" if found is None else "{0:.1f} to {1:.1f}".format(found["p10"], found["p90"])
