"""The comparison, step by step. Each step stands alone: one that fails is noted, and the others go on."""

from __future__ import annotations

import os
import statistics
import time
import traceback
from typing import Any, Callable, Dict, List, Optional

from . import theirs
from .children import Child, StepFailed, ask_all
from .figures import make_bytes_row, make_row, summary
from .memory import GpuMemory, Watch
from .ours import Hosts, total
from .plan import SPARE_PAGES, Plan


class Bench:
    """Both systems, started side by side. ``save`` is called with all that is known after each step.

    :param built: Folder of the built kvcached; None leaves its side out.
    """

    def __init__(self, plan: Plan, host: str, library: str, python: str, built: Optional[str], folder: str, save: Callable[["Bench"], None]) -> None:
        self.plan = plan
        self.rows: List[Dict[str, Any]] = []
        self.condition: Dict[str, Any] = {}
        self.memory_facts: Dict[str, Any] = {}
        self.steps: List[Dict[str, Any]] = []
        self._host, self._built, self._folder, self._save = host, built, folder, save
        self._ours_environment = {"KVCACHED_LIBRARY": library, "PYTHONPATH": python}
        self._memory = GpuMemory(plan.gpus) if plan.is_on_gpu else None
        self._children: List[Child] = []
        self._names: List[str] = []
        self._hosts: Optional[Hosts] = None
        self._turn = 0

    # -- steps ---------------------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            if not self._step("start ours", self._start_ours):
                return
            if self._built is not None and not self._step("start kvcached", self._start_theirs):
                self._built = None
            self._step("driver calls", self._measure_driver)
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
            self.stop()

    def stop(self) -> None:
        for child in self._children:
            child.stop(5)
        self._children = []
        if self._hosts is not None:
            self._hosts.stop()
            self._hosts = None
        for name in self._names:
            theirs.clean_up(name)

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

    # -- starting ------------------------------------------------------------------------------------------------------------------------------

    def _child(self, role: str, name: str, environment: Dict[str, str]) -> Child:
        child = Child(role, name, self._folder, environment)
        self._children.append(child)
        return child

    def _seen(self) -> Optional[List[int]]:
        return None if self._memory is None else self._memory.settled()

    def _only(self, rank: int) -> Dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": self.plan.gpus[rank]} if self.plan.is_on_gpu else {}

    def _start_ours(self) -> None:
        plan = self.plan
        before = self._seen()
        lent = plan.bytes_per_page * (plan.peak_pages * 2 + 4 * SPARE_PAGES)
        if self._memory is not None:
            lent = min(lent, 56 << 30)
        kept = ["--kept-decay", "{0:g}s".format(plan.kept_decay_seconds)]
        gpus = plan.gpus if plan.is_on_gpu else ["none:{0}".format(i) for i in range(plan.ranks)]
        self._hosts = Hosts(self._host, gpus, "cuda" if plan.is_on_gpu else "none", "{0}MiB".format(lent >> 20), self._folder, kept)
        with_hosts = self._seen()
        self._our_workers = [
            self._child("ours_worker", "ours-worker-{0}".format(r), dict(self._ours_environment, **self._only(r))) for r in range(plan.ranks)
        ]
        if plan.is_on_gpu:
            ask_all(self._our_workers, "context", 90)
        with_contexts = self._seen()
        self._our_scheduler = self._child("ours_scheduler", "ours-scheduler", self._ours_environment)
        self._our_scheduler.ask("open", 40, socket=self._hosts.sockets[0], gpus=plan.gpus, pools=plan.our_pools())
        for pool in plan.our_pools():
            for rank, worker in enumerate(self._our_workers):
                worker.send("attach", socket=self._hosts.sockets[rank], pool=pool["name"], rank=rank, gpu=plan.gpus[rank])
            for worker in self._our_workers:
                worker.receive(40)
        mapped = self._our_scheduler.ask("ready", 40, pool="vs-blocks", null_block=True)
        complete = self._seen()
        self._idle("ours", before, with_hosts, with_contexts, complete, mapped)
        for pool in ("vs-pages", "vs-layers"):
            self._our_scheduler.ask("ready", 40, pool=pool, null_block=False)

    def _start_theirs(self) -> None:
        plan, assert_built = self.plan, self._built
        assert assert_built is not None
        self._their_schedulers: Dict[str, Child] = {}
        for kind, contiguous in (("contiguous", True), ("layers", False)):
            name = "vs{0}-{1}".format(os.getpid(), kind)
            self._names.append(name)
            environment = theirs.environment(assert_built, name, contiguous)
            manager_pages = plan.peak_pages * 2 if contiguous else 0
            workers = [
                self._child("theirs_worker", "kvcached-{0}-worker-{1}".format(kind, r), dict(environment, **self._only(r))) for r in range(plan.ranks)
            ]
            if plan.is_on_gpu:
                ask_all(workers, "context", 90)
            with_contexts = self._seen()
            for rank, worker in enumerate(workers):
                worker.send("attach", rank=rank, ranks=plan.ranks, layers=plan.layers, page_bytes=plan.page_bytes, virtual_pages=manager_pages + SPARE_PAGES)
            for worker in workers:
                worker.receive(60)
            scheduler = self._child("theirs_scheduler", "kvcached-{0}-scheduler".format(kind), dict(environment, **self._only(0)))
            self._their_schedulers[kind] = scheduler
            scheduler.ask(
                "open", 60, ranks=plan.ranks, layers=plan.layers, page_bytes=plan.page_bytes, block_bytes=plan.block_bytes,
                manager_pages=manager_pages, contiguous=contiguous, with_manager=contiguous,
            )
            if contiguous:
                mapped = scheduler.ask("held", 20, settle_seconds=1.0)
                self._idle("kvcached", with_contexts, with_contexts, with_contexts, self._seen(), mapped)

    def _idle(self, who: str, before: Any, with_hosts: Any, with_contexts: Any, complete: Any, mapped: int) -> None:
        """What the system itself adds to processes that have a CUDA context anyway; bytes per GPU."""
        found: Dict[str, Any] = {"pageIdsMapped": mapped, "mappedBytes": mapped * self.plan.bytes_per_page}
        if complete is not None:
            found["hostBytes"] = [b - a for a, b in zip(before, with_hosts)]
            found["perGpu"] = [(b - a) + (d - c) for a, b, c, d in zip(before, with_hosts, with_contexts, complete)]
        self.memory_facts.setdefault(who, {})["idle"] = found
        sides = [self.memory_facts.get(name, {}).get("idle", {}).get("perGpu") for name in ("kvcached", "ours")]
        if who == "kvcached" or self._built is None:
            means = [None if side is None else statistics.mean(side) for side in sides]
            self.rows.append(make_bytes_row("GPU memory held idle, per GPU and model", self.plan.ranks, means[0], means[1], perGpu=sides))

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

    def _theirs(self, kind: str) -> Optional[Child]:
        return None if self._built is None else self._their_schedulers[kind]

    def _measure_driver(self) -> None:
        self._driver: Dict[str, Any] = {}
        if not self.plan.is_on_gpu:
            return
        children = [self._child("driver", "driver-{0}".format(r), self._only(r)) for r in range(self.plan.ranks)]
        page = self.plan.bytes_per_page
        cases = {"one": (page, 1, 200), "sixteen": (16 * page, 1, 60), "layers": (16 * self.plan.page_bytes, self.plan.layers * 2, 15)}
        for name, (size, mappings, times) in cases.items():
            found = ask_all(children, "kept", 60, size=size, mappings=mappings, times=times, warm_up=5)
            self._driver[name] = {key: max(statistics.median(f[key]) for f in found) for key in ("map", "unmap")}
        found = ask_all(children, "anew", 60, size=page, times=40, warm_up=4)
        self._driver["anew"] = {
            side: {call: max(statistics.median(f[side][call]) for f in found) for call in found[0][side]} for side in ("owner", "worker")
        }
        for child in children:
            child.stop(5)

    def _driver_sum(self, case: str, key: str, pages: int) -> Optional[float]:
        found = self._driver.get(case)
        return None if found is None else found[key] / pages

    def _pages(self, our_pool: str, their_kind: str, count: int, layout: str) -> None:
        times = self.plan.times if count == 1 else max(3, self.plan.times // 3)
        if layout == "per-layer":
            times = max(2, times // 3)
        other = self._theirs(their_kind)
        before = self._spans()
        found = self._alternate(
            lambda: self._our_scheduler.ask("pages", 60, pool=our_pool, count=count, times=times, warm_up=3),
            None if other is None else lambda: other.ask("pages", 60, count=count, times=times, warm_up=2),
        )
        spans = self._spans_since(before)
        case = "layers" if layout == "per-layer" else "one" if count == 1 else "sixteen"
        per_layer = "per-layer, " if layout == "per-layer" else ""
        for key, driver_key, one, many in (("grow", "map", "map one page id", "grow by 16 page ids, per page"),
                                           ("shrink", "unmap", "unmap one page id", "shrink by 16 page ids, per page")):
            sides = {who: [t / count for r in rounds for t in r[key]] for who, rounds in found.items()}
            self._add(one if count == 1 else per_layer + many, sides, self._driver_sum(case, driver_key, count), spans=spans)

    def _add(self, work: str, sides: Dict[str, List[float]], driver: Optional[float], statistic: str = "p50", **facts: Any) -> None:
        kvcached = summary(sides["kvcached"]) if sides.get("kvcached") else None
        ours = summary(sides["ours"]) if sides.get("ours") else None
        self.rows.append(make_row(work, self.plan.ranks, kvcached, ours, driver, statistic, **facts))

    def _one_by_one(self) -> None:
        other = self._theirs("contiguous")
        times = max(2, self.plan.times // 6)
        found = self._alternate(
            lambda: self._our_scheduler.ask("pages", 60, pool="vs-pages", count=16, times=times, warm_up=1, one_by_one=True),
            None if other is None else lambda: other.ask("pages", 60, count=16, times=times, warm_up=1, one_by_one=True),
            rounds=max(2, self.plan.rounds // 2),
        )
        for key, driver_key, work in (("grow", "map", "grow by 16 page ids one by one, per page"), ("shrink", "unmap", "shrink by 16 page ids one by one, per page")):
            self._add(work, {who: [t / 16 for r in rounds for t in r[key]] for who, rounds in found.items()}, self._driver_sum("one", driver_key, 1))

    def _anew(self) -> None:
        """The first maps of a pool that nothing was kept for: a new handle, exported and imported, on every rank."""
        times = []
        for _ in range(max(3, self.plan.rounds // 2)):
            self._wait_until_nothing_is_kept()
            times += self._our_scheduler.ask("pages", 60, pool="vs-pages", count=1, times=1, warm_up=0)["grow"]
        anew = self._driver.get("anew")
        unavoidable = None
        if anew is not None:
            unavoidable = anew["owner"]["cuMemCreate"] + anew["owner"]["cuMemExportToShareableHandle"]
            unavoidable += sum(anew["worker"][c] for c in ("cuMemImportFromShareableHandle", "cuMemMap", "cuMemSetAccess"))
        self._add("map one page id with a new handle, exported and imported", {"ours": times}, unavoidable, driverCalls=anew)

    def _wait_until_nothing_is_kept(self) -> None:
        assert self._hosts is not None
        deadline = time.monotonic() + self.plan.kept_decay_seconds + 5
        while any(total(host, "kvcached_rank_kept_bytes") > 0 for host in self._hosts.metrics()):
            if time.monotonic() > deadline:
                raise StepFailed("the hosts still keep memory {0:.0f} s after its decay".format(5))
            time.sleep(0.1)

    def _blocks(self) -> None:
        other = self._theirs("contiguous")
        found = self._alternate(
            lambda: self._our_scheduler.ask("blocks", 30, pool="vs-blocks", count=16, times=1000, warm_up=300),
            None if other is None else lambda: other.ask("blocks", 30, count=16, times=1000, warm_up=300),
        )
        sides = {who: [t for r in rounds for t in r["list"]] for who, rounds in found.items()}
        self._add("allocate 16 blocks", sides, 0.0)
        self._add("allocate 16 blocks into an array that is there", {"ours": [t for r in found["ours"] for t in r["array"]], "kvcached": sides["kvcached"]}, 0.0)

    def _turns(self) -> List[Any]:
        """Ours and theirs by name, with whom to ask and what else to say; who comes first changes with each call."""
        plan = self.plan
        turns: List[Any] = []
        other = self._theirs("contiguous")
        if other is not None:
            turns.append(("kvcached", other, {}))
        turns.append(("ours", self._our_scheduler, {"pool": "vs-blocks"}))
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
            base = self._memory.settled() if self._memory is not None else None
            with Watch(self._memory) as watch:
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
            base = self._memory.settled() if self._memory is not None else None
            held_before = child.ask("held", 10, **more) * plan.bytes_per_page
            with Watch(self._memory) as watch:
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
        found: Dict[str, Any] = {"ours": self._our_scheduler.ask("held", 10, pool="vs-blocks") * self.plan.bytes_per_page}
        other = self._theirs("contiguous")
        found["kvcached"] = None if other is None else other.ask("held", 10) * self.plan.bytes_per_page
        self.memory_facts["afterUse"] = found
        self.rows.append(make_bytes_row("pages that stay mapped after use, idle", self.plan.ranks, found["kvcached"], found["ours"]))

    # -- where the time goes -------------------------------------------------------------------------------------------------------------------

    def _spans(self) -> List[Dict[str, float]]:
        """The hosts' metrics, once what happened until now is in them: they are read anew once a second."""
        assert self._hosts is not None
        time.sleep(1.2)
        return self._hosts.metrics()

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
