"""What the driver's own calls take that no system can avoid: one process per rank, all ranks begin each operation together, as a decision makes them."""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Optional

from .children import Child, ask_all
from .systems import Systems


class Limits:
    """Sums of driver calls by case; all None without a GPU. Medians over operations of the slowest rank's sum, in microseconds."""

    def __init__(self) -> None:
        self.facts: Dict[str, Any] = {}

    def measure(self, systems: Systems) -> None:
        plan = systems.plan
        if not plan.is_on_gpu:
            return
        children = [systems.child("driver", "driver-{0}".format(r), systems.only(r)) for r in range(plan.ranks)]
        page = plan.bytes_per_page
        cases = {"one": (page, 1, 60), "sixteen": (16 * page, 1, 30), "layers": (16 * plan.page_bytes, plan.layers * 2, 10)}
        for name, (size, mappings, times) in cases.items():
            self.facts[name] = together(children, size, mappings, times)
        self.facts["one, no other rank"] = together(children[:1], page, 1, 60)
        found = ask_all(children, "anew", 60, size=page, times=40, warm_up=4)
        self.facts["anew"] = {
            side: {call: max(statistics.median(f[side][call]) for f in found) for call in found[0][side]} for side in ("owner", "worker")
        }
        for child in children:
            child.stop(5)

    def sum_of(self, case: str, key: str, pages: int) -> Optional[float]:
        """Of mapping (``map``) or unmapping (``unmap``) kept handles, for each of so many pages."""
        found = self.facts.get(case)
        return None if found is None else found[key] / pages

    def sum_anew(self) -> Optional[float]:
        """Of mapping a new handle that another process created: created, exported, imported, mapped."""
        anew = self.facts.get("anew")
        if anew is None:
            return None
        by_owner = anew["owner"]["cuMemCreate"] + anew["owner"]["cuMemExportToShareableHandle"]
        return by_owner + sum(anew["worker"][c] for c in ("cuMemImportFromShareableHandle", "cuMemMap", "cuMemSetAccess"))


def together(children: List[Child], size: int, mappings: int, times: int, warm_up: int = 5) -> Dict[str, Any]:
    ask_all(children, "prepare", 60, size=size, mappings=mappings)
    sums: Dict[str, List[float]] = {"map": [], "unmap": []}
    calls: Dict[str, List[float]] = {}
    for index in range(warm_up + times):
        for key in sums:
            found = ask_all(children, key, 60)
            if index >= warm_up:
                sums[key].append(max(sum(f.values()) for f in found))
                for name in found[0]:
                    calls.setdefault(name, []).append(max(f[name] for f in found) / mappings)
    ask_all(children, "let_go", 60)
    answer: Dict[str, Any] = {key: statistics.median(values) for key, values in sums.items()}
    answer["oneCall"] = {name: round(statistics.median(values), 1) for name, values in calls.items()}
    answer["mappings"] = mappings
    return answer
