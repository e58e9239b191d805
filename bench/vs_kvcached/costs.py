"""What each of the driver's memory calls costs on this machine, and what its cost depends on. Takes half a minute.

    PYTHONPATH=bench python3 -m vs_kvcached.costs --out FILE.json [--gpu UUID --gpu UUID]

Each figure is the median over the repetitions, in microseconds for one call.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from typing import Any, Callable, Dict, List

from . import counts
from .children import Child
from .driver import Driver

MIB = 1 << 20
Took = Dict[str, List[float]]


def medians(took: Took) -> Dict[str, float]:
    return {name: round(statistics.median(values), 1) for name, values in took.items()}


def new_handles(driver: Driver, size: int, times: int, shared: bool) -> Dict[str, float]:
    """Create, map, access, unmap and release in turn, as a system without kept handles does; with export and import if ``shared``."""
    took: Took = {}
    base = driver.reserve(size)
    for _ in range(times):
        handle = driver.create(size, took)
        descriptor = driver.export(handle, took) if shared else -1
        mapped = driver.take(descriptor, took) if shared else handle
        driver.map(base, size, mapped, took)
        driver.unmap(base, size, took)
        if shared:
            took.setdefault("release of the import", []).append(driver.call("cuMemRelease", mapped))
            os.close(descriptor)
        driver.release(handle, took)
    driver.free(base, size)
    return medians(took)


def kept_handle(driver: Driver, size: int, times: int, pause: float = 0.0, imported: bool = False) -> Dict[str, float]:
    """Map, access and unmap of one handle over and over."""
    nothing: Took = {}
    took: Took = {}
    base = driver.reserve(size)
    handle = driver.create(size, nothing)
    mapped = handle
    if imported:
        descriptor = driver.export(handle, nothing)
        mapped = driver.take(descriptor, nothing)
        os.close(descriptor)
    for _ in range(times):
        time.sleep(pause)
        driver.map(base, size, mapped, took)
        driver.unmap(base, size, took)
    if imported:
        driver.release(mapped, nothing)
    driver.release(handle, nothing)
    driver.free(base, size)
    return medians(took)


def imported_again(driver: Driver, size: int, times: int) -> Dict[str, float]:
    """A kept handle whose descriptor is imported anew for each map, and the import released after it."""
    nothing: Took = {}
    took: Took = {}
    base = driver.reserve(size)
    handle = driver.create(size, nothing)
    descriptor = driver.export(handle, nothing)
    for _ in range(times):
        mapped = driver.take(descriptor, took)
        driver.map(base, size, mapped, took)
        driver.unmap(base, size, took)
        driver.release(mapped, took)
    os.close(descriptor)
    driver.release(handle, nothing)
    driver.free(base, size)
    return medians(took)


def together(driver: Driver, size: int, mappings: int, times: int) -> Dict[str, float]:
    """Many mappings side by side: access and unmap in one call over all of them, per mapping."""
    nothing: Took = {}
    took: Took = {}
    base = driver.reserve(size * mappings)
    handles = [driver.create(size, nothing) for _ in range(mappings)]
    for _ in range(times):
        for place, handle in enumerate(handles):
            took.setdefault("cuMemMap", []).append(driver.call("cuMemMap", base + place * size, size, 0, handle, 0))
        took.setdefault("cuMemSetAccess", []).append(driver.allow(base, size * mappings) / mappings)
        took.setdefault("cuMemUnmap", []).append(driver.call("cuMemUnmap", base, size * mappings) / mappings)
    for handle in handles:
        driver.release(handle, nothing)
    driver.free(base, size * mappings)
    return medians(took)


def mapped_twice(driver: Driver, size: int, times: int) -> Dict[str, float]:
    """As :func:`kept_handle`, with a second mapping of the same handle that stays."""
    nothing: Took = {}
    took: Took = {}
    base = driver.reserve(size * 2)
    handle = driver.create(size, nothing)
    driver.map(base + size, size, handle, nothing)
    for _ in range(times):
        driver.map(base, size, handle, took)
        driver.unmap(base, size, took)
    driver.unmap(base + size, size, nothing)
    driver.release(handle, nothing)
    driver.free(base, size * 2)
    return medians(took)


def access_only(driver: Driver, size: int, times: int) -> Dict[str, float]:
    """Access to a mapping that has it already, or that had it read-only."""
    nothing: Took = {}
    took: Took = {}
    base = driver.reserve(size)
    handle = driver.create(size, nothing)
    driver.map(base, size, handle, nothing)
    for _ in range(times):
        took.setdefault("again the same", []).append(driver.allow(base, size))
        took.setdefault("to read only", []).append(driver.allow(base, size, 1))
        took.setdefault("to read and write", []).append(driver.allow(base, size))
        took.setdefault("to none", []).append(driver.allow(base, size, 0))
        took.setdefault("from none", []).append(driver.allow(base, size))
    driver.unmap(base, size, nothing)
    driver.release(handle, nothing)
    driver.free(base, size)
    return medians(took)


def all_of(times: int, with_context: bool) -> Dict[str, Any]:
    driver = Driver()
    few = max(4, times // 8)
    if with_context:
        driver.make_context()
    found: Dict[str, Any] = {}
    own = counts.OwnCounts()

    def add(name: str, case: Callable[..., Dict[str, float]], *arguments: Any, **more: Any) -> None:
        before = own.read()
        found[name] = case(*arguments, **more)
        called = counts.between(before, own.read())
        if "ioctl" in called and "cuMemMap" in called:
            found[name]["ioctl calls for each cuMemMap"] = round(called["ioctl"]["calls"] / called["cuMemMap"]["calls"], 1)
            found[name]["one ioctl, mean"] = called["ioctl"]["meanMicroseconds"]

    for mib in (2, 32, 128, 512, 2048):
        add("new handle, {0} MiB".format(mib), new_handles, driver, mib * MIB, few if mib > 512 else times, shared=False)
        add("kept handle, {0} MiB".format(mib), kept_handle, driver, mib * MIB, times)
    for name, other in (("not exportable", Driver(exportable=False)), ("for network cards", Driver(rdma=True))):
        add("new handle, {0}, 128 MiB".format(name), new_handles, other, 128 * MIB, times, shared=False)
        add("kept handle, {0}, 128 MiB".format(name), kept_handle, other, 128 * MIB, times)
    add("new handle, shared, 128 MiB", new_handles, driver, 128 * MIB, times, shared=True)
    add("kept import, 128 MiB", kept_handle, driver, 128 * MIB, times, imported=True)
    add("import anew for each map, 128 MiB", imported_again, driver, 128 * MIB, times)
    add("kept handle, 128 MiB, 5 ms apart", kept_handle, driver, 128 * MIB, times, pause=0.005)
    for count, mib in ((16, 128), (64, 32), (64, 2)):
        add("{0} mappings of {1} MiB, one call for all, per mapping".format(count, mib), together, driver, mib * MIB, count, few)
    add("kept handle with another mapping that stays, 128 MiB", mapped_twice, driver, 128 * MIB, times)
    add("access alone, 128 MiB", access_only, driver, 128 * MIB, times)
    return found


def side_by_side(times: int) -> Dict[str, Any]:
    """Part of it, for two processes at once."""
    driver = Driver()
    return {"kept handle, 128 MiB": kept_handle(driver, 128 * MIB, times), "kept handle, 128 MiB, 5 ms apart": kept_handle(driver, 128 * MIB, times, pause=0.005)}


def commands() -> Dict[str, Callable[..., Any]]:
    return {"all": all_of, "side_by_side": side_by_side}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument("--gpu", action="append", default=[], metavar="UUID", help="one or two; default: the first that the driver names")
    parser.add_argument("--times", type=int, default=40)
    arguments = parser.parse_args()
    gpus: List[str] = arguments.gpu or ["0"]
    found: Dict[str, Any] = {
        "benchmark": "driver-costs", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "gpus": gpus, "kernel": platform.release(),
        "processors": os.cpu_count(), "unit": "microseconds for a call, median",
    }
    with tempfile.TemporaryDirectory(prefix="kvcached-costs-") as folder:
        library = counts.build(folder)
        children = []
        for number, gpu in enumerate(gpus):
            environment = {"CUDA_VISIBLE_DEVICES": gpu}
            if library is not None:
                environment.update(counts.Counts(library, os.path.join(folder, "counts-{0}".format(number))).environment)
            children.append(Child("costs", "costs-{0}".format(number), folder, environment))
        try:
            for name, context in (("withoutContext", False), ("withContext", True)):
                found[name] = children[0].ask("all", 120, times=arguments.times, with_context=context)
            if len(children) > 1:
                for child in children:
                    child.send("side_by_side", times=arguments.times)
                found["twoProcesses"] = [child.receive(60) for child in children]
        finally:
            for child in children:
                child.stop(5)
    with open(arguments.out, "w") as file:
        json.dump(found, file, indent=2)
        file.write("\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
