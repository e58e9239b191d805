"""The comparison, step by step. Each step stands alone: one that fails is noted, and the others go on."""

from __future__ import annotations

import statistics
import time
import traceback
from typing import Any, Callable, Dict, List, Optional

from .children import Child, StepFailed
from .figures import calls_of, make_bytes_row, make_row, summary
from .limits import Limits
from .memory import Watch
from .ours import total
from .plan import Plan
from .systems import Systems


class Bench:
    """Measures both systems in turn. ``save`` is called with all that is known after each step."""

    def __init__(self, plan: Plan, systems: Systems, save: Callable[["Bench"], None]) -> None:
        self.plan = plan
        self.systems = systems
        self.limits = Limits()
        self.rows: List[Dict[str, Any]] = []
        self.condition: Dict[str, Any] = {}
        self.steps: List[Dict[str, Any]] = []
        self._save = save
        self._turn = 0

    # -- steps ---------------------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            if not self._step("start ours", self.systems.start_ours):
                return
            if self.systems.built is not None:
                self._step("start kvcached", self.systems.start_theirs)
            self._step("memory held idle", self._idle)
            self._step("driver calls", lambda: self.limits.measure(self.systems))
            for name, ours, theirs_name, count, layout in (
                ("one page id", "vs-pages", "contiguous", 1, "contiguous"),
                ("16 page ids", "vs-pages", "contiguous", 16, "contiguous"),
                ("16 page ids, per-layer", "vs-layers", "layers", 16, "per-layer"),
            ):
                self._step(name, lambda o=ours, t=theirs_name, c=count, l=layout: self._pages(o, t, c, l))
            self._step("16 page ids one by one", self._one_by_one)
            self._step("new handles", self._anew)
            self._step("blocks", self._blocks)
            self._step("trace", self._trace)
            self._step("after the peak", self._after_the_peak)
            self._step("memory after use", self._memory_after_use)
        finally:
            self.systems.stop()

    def _step(self, name: str, body: Callable[[], None]) -> bool:
        print("{0} ...".format(name), end=" ", flush=True)
        started = time.monotonic()
        problem = None
        try:
            body()
        except Exception as failure:  # noted; the rest is worth having
            problem = str(failure)
            if not isinstance(failure, StepFailed):
                traceback.print_exc()
        took = time.monotonic() - started
        self.steps.append({"step": name, "seconds": round(took, 2), "problem": problem})
        print("{0:.1f} s{1}".format(took, "" if problem is None else ", FAILED: " + problem), flush=True)
        self._save(self)
        return problem is None

    # -- rows ----------------------------------------------------------------------------------------------------------------------------------

    def _alternate(self, ours: Callable[[], Any], other: Optional[Callable[[], Any]], rounds: Optional[int] = None) -> Dict[str, List[Any]]:
        """Both in turn; who begins changes with each round."""
        found: Dict[str, List[Any]] = {"ours": [], "kvcached": []}
        for _ in range(rounds or self.plan.rounds):
            turns = [("ours", ours)] + ([("kvcached", other)] if other is not None else [])
            self._turn += 1
            for who, call in turns if self._turn % 2 else reversed(turns):
                found[who].append(call())
        return found

    def _their_blocks(self) -> Optional[Child]:
        """kvcached's scheduler with its block manager, where that runs."""
        return self.systems.theirs("contiguous") if self.systems.has_their_blocks else None

    def _idle(self) -> None:
        sides = [self.systems.memory_facts.get(name, {}).get("idle", {}).get("perGpu") for name in ("kvcached", "ours")]
        means = [None if side is None else statistics.mean(side) for side in sides]
        self.rows.append(make_bytes_row("GPU memory held idle, per GPU and model", self.plan.ranks, means[0], means[1], perGpu=sides))

    def _pages(self, our_pool: str, their_kind: str, count: int, layout: str) -> None:
        times = self.plan.times if count == 1 else max(3, self.plan.times // 3)
        if layout == "per-layer":
            times = max(2, times // 3)
        other = self.systems.theirs(their_kind)
        counted = self.systems.counted
        before = self._spans()
        found = self._alternate(
            lambda: self.systems.ours.ask("pages", 60, pool=our_pool, count=count, times=times, warm_up=3, counted=counted("ours")),
            None if other is None else lambda: other.ask("pages", 60, count=count, times=times, warm_up=2, counted=counted(their_kind)),
        )
        spans = self._spans_since(before)
        case = "layers" if layout == "per-layer" else "one" if count == 1 else "sixteen"
        per_layer = "per-layer, " if layout == "per-layer" else ""
        for key, driver_key, one, many in (("grow", "map", "map one page id", "grow by 16 page ids, per page"),
                                           ("shrink", "unmap", "unmap one page id", "shrink by 16 page ids, per page")):
            sides = {who: [t / count for r in rounds for t in r[key]] for who, rounds in found.items()}
            calls = {who: calls_of([r["calls"][key] for r in rounds], times * len(rounds)) for who, rounds in found.items()}
            self._add(one if count == 1 else per_layer + many, sides, self.limits.sum_of(case, driver_key, count), spans=spans, driverCalls=calls)

    def _add(self, work: str, sides: Dict[str, List[float]], driver: Optional[float], statistic: str = "p50", **facts: Any) -> None:
        kvcached = summary(sides["kvcached"]) if sides.get("kvcached") else None
        ours = summary(sides["ours"]) if sides.get("ours") else None
        self.rows.append(make_row(work, self.plan.ranks, kvcached, ours, driver, statistic, **facts))

    def _one_by_one(self) -> None:
        other = self.systems.theirs("contiguous")
        times = max(2, self.plan.times // 6)
        found = self._alternate(
            lambda: self.systems.ours.ask("pages", 60, pool="vs-pages", count=16, times=times, warm_up=1, one_by_one=True),
            None if other is None else lambda: other.ask("pages", 60, count=16, times=times, warm_up=1, one_by_one=True),
            rounds=max(2, self.plan.rounds // 2),
        )
        for key, driver_key, work in (("grow", "map", "grow by 16 page ids one by one, per page"), ("shrink", "unmap", "shrink by 16 page ids one by one, per page")):
            self._add(work, {who: [t / 16 for r in rounds for t in r[key]] for who, rounds in found.items()}, self.limits.sum_of("one", driver_key, 1))

    def _anew(self) -> None:
        """The first maps of a pool that nothing was kept for: a new handle, exported and imported, on every rank."""
        times = []
        for _ in range(max(3, self.plan.rounds // 2)):
            self._wait_until_nothing_is_kept()
            times += self.systems.ours.ask("pages", 60, pool="vs-pages", count=1, times=1, warm_up=0)["grow"]
        self._add(
            "map one page id with a new handle, exported and imported", {"ours": times}, self.limits.sum_anew(), driverCalls=self.limits.facts.get("anew"),
        )

    def _wait_until_nothing_is_kept(self) -> None:
        assert self.systems.hosts is not None
        deadline = time.monotonic() + self.plan.kept_decay_seconds + 5
        while any(total(host, "kvcached_rank_kept_bytes") > 0 for host in self.systems.hosts.metrics()):
            if time.monotonic() > deadline:
                raise StepFailed("the hosts still keep memory {0:.0f} s after its decay".format(5))
            time.sleep(0.1)

    def _blocks(self) -> None:
        other = self._their_blocks()
        found = self._alternate(
            lambda: self.systems.ours.ask("blocks", 30, pool="vs-blocks", count=16, times=1000, warm_up=300),
            None if other is None else lambda: other.ask("blocks", 30, count=16, times=1000, warm_up=300),
        )
        sides = {who: [t for r in rounds for t in r["list"]] for who, rounds in found.items()}
        self._add("allocate 16 blocks", sides, 0.0)
        self._add("allocate 16 blocks into an array that is there", {"ours": [t for r in found["ours"] for t in r["array"]], "kvcached": sides["kvcached"]}, 0.0)

    def _turns(self) -> List[Any]:
        """Ours and theirs by name, with whom to ask and what else to say; who comes first changes with each call."""
        plan = self.plan
        turns: List[Any] = []
        other = self._their_blocks()
        if other is not None:
            turns.append(("kvcached", other, {}))
        turns.append(("ours", self.systems.ours, {"pool": "vs-blocks"}))
        self._turn += 1
        return turns if self._turn % 2 else list(reversed(turns))

    def _trace(self) -> None:
        plan = self.plan
        arguments = {
            "peak_blocks": plan.peak_blocks, "count": plan.operations, "waves": plan.waves, "per_step": plan.per_step, "step_seconds": plan.step_seconds,
        }
        sides: Dict[str, Any] = {}
        for who, child, more in self._turns():
            held_before = child.ask("held", 10, **more) * plan.bytes_per_page
            base = self.systems.memory.settled() if self.systems.memory is not None else None
            with Watch(self.systems.memory) as watch:
                found = child.ask("play", 90, **more, **arguments)
            used = watch.mean_used(found["startedAt"], found["endedAt"])
            if used is not None and base is not None:
                found["meanOnGpuBytes"] = used - statistics.mean(base) + held_before
                found["onGpuOverLive"] = found["meanOnGpuBytes"] / found["meanLiveBytes"]
            sides[who] = found
        self.condition["trace"] = sides
        rows = {who: found["allocations"] for who, found in sides.items()}
        self.rows.append(make_row("worst allocation (p99.9) of the trace", plan.ranks, rows.get("kvcached"), rows["ours"], None, "p999"))
        self.rows.append(make_row("median allocation of the trace", plan.ranks, rows.get("kvcached"), rows["ours"], None, "p50"))
        frees = {who: found["frees"] for who, found in sides.items()}
        self.rows.append(make_row("worst free (p99.9) of the trace", plan.ranks, frees.get("kvcached"), frees["ours"], None, "p999"))

    def _after_the_peak(self) -> None:
        plan = self.plan
        sides: Dict[str, Any] = {}
        for who, child, more in self._turns():
            base = self.systems.memory.settled() if self.systems.memory is not None else None
            held_before = child.ask("held", 10, **more) * plan.bytes_per_page
            with Watch(self.systems.memory) as watch:
                found = child.ask("after_the_peak", 90, peak_blocks=plan.peak_blocks, keep=plan.live_blocks, decay_seconds=plan.decay_seconds, **more)
            last = watch.mean_used(time.monotonic() - 0.3, time.monotonic())
            if last is not None and base is not None:
                found["onGpuBytesAtTheEnd"] = last - statistics.mean(base) + held_before
            sides[who] = found
        self.condition["afterThePeak"] = sides

    def _memory_after_use(self) -> None:
        """Idle again after all of it, once what was kept has decayed."""
        time.sleep(self.plan.decay_seconds + 1)
        self._wait_until_nothing_is_kept()
        found: Dict[str, Any] = {"ours": self.systems.ours.ask("held", 10, pool="vs-blocks") * self.plan.bytes_per_page}
        other = self._their_blocks()
        found["kvcached"] = None if other is None else other.ask("held", 10) * self.plan.bytes_per_page
        self.systems.memory_facts["afterUse"] = found
        self.rows.append(make_bytes_row("pages that stay mapped after use, idle", self.plan.ranks, found["kvcached"], found["ours"]))

    # -- where the time goes -------------------------------------------------------------------------------------------------------------------

    def _spans(self) -> List[Dict[str, float]]:
        """The hosts' metrics, once what happened until now is in them: they are read anew once a second."""
        assert self.systems.hosts is not None
        time.sleep(1.2)
        return self.systems.hosts.metrics()

    def _spans_since(self, before: List[Dict[str, float]]) -> Dict[str, Any]:
        """Means of the hosts' own spans since then, microseconds, over all maps and unmaps of ours."""
        found: Dict[str, Any] = {}
        now = self._spans()
        for span in ("map", "map_wait", "map_gather", "rank_driver", "unmap"):
            name = "kvcached_{0}_seconds".format(span)
            seconds = sum(total(b, name + "_sum") - total(a, name + "_sum") for a, b in zip(before, now))
            count = sum(total(b, name + "_count") - total(a, name + "_count") for a, b in zip(before, now))
            if count > 0:
                found[span] = {"count": int(count), "meanMicroseconds": round(seconds / count * 1e6, 1)}
        return found
