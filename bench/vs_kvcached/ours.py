"""Our side: hosts, and the engine's two roles. ``scheduler`` and ``worker`` are started as children."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
import urllib.request
from typing import Any, Dict, List, Sequence

from .children import StepFailed
from .sequence import Engine


class Hosts:
    """One host per rank. ``folder`` takes their sockets and logs."""

    def __init__(self, program: str, gpus: Sequence[str], backend: str, memory: str, folder: str, extra: Sequence[str] = (),
                 environments: Sequence[Dict[str, str]] = ()) -> None:
        self._processes: List["subprocess.Popen[bytes]"] = []
        self.sockets: List[str] = []
        self.management: List[str] = []
        try:
            seed: List[str] = []
            for number, gpu in enumerate(gpus):
                ready = self._start(program, number, gpu, backend, memory, len(gpus), folder, seed + list(extra), environments[number] if environments else {})
                self.sockets.append(ready["socket"])
                self.management.append("http://127.0.0.1:{0}".format(ready["managementPort"]))
                seed = seed or ["--seed", "127.0.0.1:{0}".format(ready["port"])]
        except BaseException:
            self.stop()
            raise

    def _start(self, program: str, number: int, gpu: str, backend: str, memory: str, count: int, folder: str, extra: List[str],
               environment: Dict[str, str]) -> Dict[str, Any]:
        command = [program, "--gpu", gpu, "--memory", memory, "--hosts", str(count), "--run-dir", os.path.join(folder, "run"), "--port", "0"]
        command += ["--management-port", "0"] + extra
        if backend != "none":
            command += ["--backend", backend]
        log_path = os.path.join(folder, "host-{0}.log".format(number))
        with open(log_path, "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True, env=dict(os.environ, **environment))
        self._processes.append(process)
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], 60)[0]:
            raise StepFailed("host {0} was not ready within 60 s; see {1}".format(number, log_path))
        line = process.stdout.readline()
        if not line:
            with open(log_path, "rb") as log:
                raise StepFailed("host {0} did not start: {1}".format(number, log.read()[-2000:].decode("utf-8", "replace")))
        return json.loads(line.decode())

    def metrics(self) -> List[Dict[str, float]]:
        """Each host's metrics by name with labels, as Prometheus sees them."""
        found = []
        for address in self.management:
            with urllib.request.urlopen(address + "/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            found.append({name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")})
        return found

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + 15
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def total(metrics: Dict[str, float], name: str) -> float:
    """Sum of a metric over its labels; 0 when it isn't there yet."""
    return sum(value for key, value in metrics.items() if key == name or key.startswith(name + "{"))


class OurEngine(Engine):
    """A pool, as its scheduler sees it."""

    def __init__(self, pool: Any, group: Any) -> None:
        self.pool = pool
        self.blocks_per_page = group.page_bytes // group.block_bytes
        self.bytes_per_page = group.bytes_per_page
        self._grown = 0

    def grow(self, pages: int) -> None:
        came = self.pool.grow(0, pages, timeout=10)
        if came != pages:
            raise RuntimeError("{0} of {1} pages came".format(came, pages))
        self._grown += pages

    def shrink(self, pages: int) -> None:
        self._grown -= pages
        gone = self.pool.trim(0, warm_pages_to_keep=self._grown, timeout=10)
        if gone != pages:
            raise RuntimeError("{0} pages went back instead of {1}".format(gone, pages))

    def alloc(self, count: int) -> List[int]:
        return self.pool.alloc_or_grow(0, count, timeout=10)

    def free(self, blocks: Sequence[int]) -> None:
        self.pool.free(0, blocks, 0)

    def held_pages(self) -> int:
        return self.pool.stats().mapped_pages
