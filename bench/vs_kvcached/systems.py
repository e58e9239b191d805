"""Starts both systems as engines have them, and stops them: hosts, workers, schedulers. What each holds while idle is measured on the way."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from . import counts, theirs
from .children import Child, StepFailed, ask_all
from .memory import GpuMemory
from .ours import Hosts
from .plan import SPARE_PAGES, Plan

#: How kvcached's block manager is tried, best first: what it is then called, and what is set. One that ends at its start is noted with its stack.
MANAGERS = [("as it ships", {}), ("without its preallocation", {"KVCACHED_PAGE_PREALLOC_ENABLED": "false"})]


class Systems:
    """Both systems, side by side.

    :param built: Folder of the built kvcached; None leaves its side out.
    :ivar memory_facts: What each holds while idle, by system.
    :ivar notes: What didn't go as it should at the start, for people.
    """

    def __init__(self, plan: Plan, host: str, library: str, python: str, built: Optional[str], folder: str) -> None:
        self.plan = plan
        self.built = built
        self.memory = GpuMemory(plan.gpus) if plan.is_on_gpu else None
        self.memory_facts: Dict[str, Any] = {}
        self.notes: List[str] = []
        self.hosts: Optional[Hosts] = None
        self.has_their_blocks = False
        self._host, self._folder = host, folder
        self._our_environment = {"KVCACHED_LIBRARY": library, "PYTHONPATH": python}
        self._children: List[Child] = []
        self._names: List[str] = []
        self._their_schedulers: Dict[str, Child] = {}
        self._counting = counts.build(folder) if plan.is_on_gpu else None
        self._counted: Dict[str, List[str]] = {}

    def stop(self) -> None:
        for child in self._children:
            child.stop(5)
        self._children = []
        if self.hosts is not None:
            self.hosts.stop()
            self.hosts = None
        for name in self._names:
            theirs.clean_up(name)

    def child(self, role: str, name: str, *environments: Dict[str, str]) -> Child:
        """Starts a process with all these settings; libraries to preload are those of all of them."""
        environment: Dict[str, str] = {}
        for part in environments:
            preloads = [e["LD_PRELOAD"] for e in (environment, part) if "LD_PRELOAD" in e]
            environment.update(part)
            if preloads:
                environment["LD_PRELOAD"] = ":".join(preloads)
        child = Child(role, name, self._folder, environment)
        self._children.append(child)
        return child

    def only(self, rank: int) -> Dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": self.plan.gpus[rank]} if self.plan.is_on_gpu else {}

    def theirs(self, kind: str) -> Optional[Child]:
        return self._their_schedulers.get(kind)

    def counted(self, side: str) -> List[str]:
        """Files with the counts of all driver calls of a side's processes; none where nothing counts."""
        return self._counted.get(side, [])

    # -- ours ----------------------------------------------------------------------------------------------------------------------------------

    def start_ours(self) -> None:
        plan = self.plan
        before = self._seen()
        lent = plan.bytes_per_page * (plan.peak_pages * 2 + 4 * SPARE_PAGES)
        if self.memory is not None:
            lent = min(lent, 56 << 30)
        gpus = plan.gpus if plan.is_on_gpu else ["none:{0}".format(i) for i in range(plan.ranks)]
        self.hosts = Hosts(
            self._host, gpus, "cuda" if plan.is_on_gpu else "none", "{0}MiB".format(lent >> 20), self._folder,
            ["--kept-decay", "{0:g}s".format(plan.kept_decay_seconds)], [self._count("ours", "host-{0}".format(i)) for i in range(plan.ranks)],
        )
        with_hosts = self._seen()
        workers = [
            self.child("ours_worker", "ours-worker-{0}".format(r), self._our_environment, self.only(r), self._count("ours", "worker-{0}".format(r)))
            for r in range(plan.ranks)
        ]
        if plan.is_on_gpu:
            ask_all(workers, "context", 90)
        with_contexts = self._seen()
        self.ours = self.child("ours_scheduler", "ours-scheduler", self._our_environment)
        self.ours.ask("open", 40, socket=self.hosts.sockets[0], gpus=plan.gpus, pools=plan.our_pools())
        for pool in plan.our_pools():
            for rank, worker in enumerate(workers):
                worker.send("attach", socket=self.hosts.sockets[rank], pool=pool["name"], rank=rank, gpu=plan.gpus[rank])
            for worker in workers:
                worker.receive(40)
        mapped = self.ours.ask("ready", 40, pool="vs-blocks", null_block=True)
        self._note_idle("ours", before, with_hosts, with_contexts, self._seen(), mapped)
        for pool in ("vs-pages", "vs-layers"):
            self.ours.ask("ready", 40, pool=pool, null_block=False)

    # -- kvcached ------------------------------------------------------------------------------------------------------------------------------

    def start_theirs(self) -> None:
        """An instance per layout; its workers first, as engines start them."""
        assert self.built is not None
        for kind, contiguous in (("contiguous", True), ("layers", False)):
            name = "vs{0}-{1}".format(os.getpid(), kind)
            self._names.append(name)
            environment = theirs.environment(self.built, name, contiguous)
            with_contexts = self._start_their_workers(kind, environment, contiguous)
            self._their_schedulers[kind] = scheduler = self._start_their_scheduler(kind, environment, contiguous)
            if contiguous and self.has_their_blocks:
                mapped = scheduler.ask("held", 20, settle_seconds=1.0)
                self._note_idle("kvcached", with_contexts, with_contexts, with_contexts, self._seen(), mapped)

    def _start_their_workers(self, kind: str, environment: Dict[str, str], contiguous: bool) -> Optional[List[int]]:
        plan = self.plan
        workers = [
            self.child("theirs_worker", "kvcached-{0}-worker-{1}".format(kind, r), environment, self.only(r), self._count(kind, "{0}-{1}".format(kind, r)))
            for r in range(plan.ranks)
        ]
        if plan.is_on_gpu:
            ask_all(workers, "context", 90)
        with_contexts = self._seen()
        pages = (plan.peak_pages * 2 if contiguous else 0) + SPARE_PAGES
        for rank, worker in enumerate(workers):
            worker.send("attach", rank=rank, ranks=plan.ranks, layers=plan.layers, page_bytes=plan.page_bytes, virtual_pages=pages)
        for worker in workers:
            worker.receive(60)
        return with_contexts

    def _start_their_scheduler(self, kind: str, environment: Dict[str, str], contiguous: bool) -> Child:
        """With its block manager if that can be had; a broadcast of page ids needs none."""
        plan = self.plan
        managers = MANAGERS + [("without its block manager", {})] if contiguous else [("without its block manager", {})]
        for number, (how, more) in enumerate(managers):
            with_manager = number < len(managers) - 1
            name = "kvcached-{0}-scheduler{1}".format(kind, "-{0}".format(number + 1) if number else "")
            stacks = {"PYTHONFAULTHANDLER": "1"}
            if self._counting is not None:
                stacks.update({"LD_PRELOAD": self._counting, "VS_STACKS": "1"})
            scheduler = self.child("theirs_scheduler", name, environment, self.only(0), stacks, more)
            try:
                scheduler.ask(
                    "open", 60, ranks=plan.ranks, layers=plan.layers, page_bytes=plan.page_bytes, block_bytes=plan.block_bytes,
                    manager_pages=plan.peak_pages * 2 if contiguous else 0, contiguous=contiguous, with_manager=with_manager,
                )
            except StepFailed as problem:
                if not with_manager:
                    raise
                self.notes.append("kvcached's block manager {0} failed at its start (see {1}.log): {2}".format(how, name, str(problem)[:2000]))
                print("\n  {0}".format(self.notes[-1]), flush=True)
                continue
            self.has_their_blocks = self.has_their_blocks or with_manager
            if contiguous and number:
                self.notes.append("kvcached runs {0}".format(how))
            return scheduler
        raise StepFailed("kvcached has no scheduler")

    # -- counting ------------------------------------------------------------------------------------------------------------------------------

    def _count(self, side: str, name: str) -> Dict[str, str]:
        """What a process is to be started with so that its driver calls are counted for that side."""
        if self._counting is None:
            return {}
        path = os.path.join(self._folder, "counts-" + name)
        self._counted.setdefault(side, []).append(path)
        return counts.Counts(self._counting, path).environment

    def _seen(self) -> Optional[List[int]]:
        return None if self.memory is None else self.memory.settled()

    def _note_idle(self, who: str, before: Any, with_hosts: Any, with_contexts: Any, complete: Any, mapped: int) -> None:
        """What the system itself adds to processes that have a CUDA context anyway; bytes per GPU."""
        found: Dict[str, Any] = {"pageIdsMapped": mapped, "mappedBytes": mapped * self.plan.bytes_per_page}
        if complete is not None:
            found["hostBytes"] = [b - a for a, b in zip(before, with_hosts)]
            found["perGpu"] = [(b - a) + (d - c) for a, b, c, d in zip(before, with_hosts, with_contexts, complete)]
        self.memory_facts.setdefault(who, {})["idle"] = found
