"""Kvcached beside the open-source kvcached: the same work, on the same GPUs, in the same run.

    PYTHONPATH=python:bench python3 -m vs_kvcached --source KVCACHED --host Kvcached.Host --library libkvcached.so     on one or two GPUs
    PYTHONPATH=python:bench python3 -m vs_kvcached --device none --host ... --library ...                              our half, in main memory

32 layers (in main memory 2), keys and values, 2 MiB pages; a process per rank, and a scheduler's. kvcached is built from its source folder with this Python's PyTorch,
without a network. Prints a table and leaves rows, facts, logs and a chart in --out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List

from . import theirs
from .bench import Bench
from .children import StepFailed
from .figures import condition_table, table
from .plan import Plan
from .systems import Systems


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", metavar="DIR", help="source folder of kvcached; without it only our side is measured")
    parser.add_argument("--host", required=True, metavar="PROGRAM", help="the published Kvcached.Host")
    parser.add_argument("--library", default=os.environ.get("KVCACHED_LIBRARY"), metavar="PATH", help="libkvcached.so; default: KVCACHED_LIBRARY")
    parser.add_argument("--device", choices=["cuda", "none"], default="cuda", help="none: main memory, and only our side")
    parser.add_argument("--ranks", type=int, default=0, help="GPUs to use; default: all, at most 2")
    parser.add_argument("--out", default=".", metavar="DIR", help="where results go")
    parser.add_argument("--name", default="h100-vs-kvcached", help="how they are called")
    parser.add_argument("--built", metavar="DIR", help="where kvcached is built, and found the next time; default: a temporary folder")
    parser.add_argument("--build-timeout", type=float, default=240, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=10, help="times that both take turns in each row")
    parser.add_argument("--times", type=int, default=30, help="maps in each turn")
    parser.add_argument("--operations", type=int, default=0, help="operations of the trace; default: 100000, without a GPU 20000")
    parser.add_argument("--peak-pages", type=int, default=0, help="page ids of the trace's peak; default: 280 (35 GiB on each GPU), without a GPU 40")
    parser.add_argument("--decay", type=float, default=0.25, metavar="SECONDS", help="after which unused pages go back")
    parser.add_argument("--kept-decay", type=float, default=2.0, metavar="SECONDS", help="after which hosts release what was unmapped")
    parser.add_argument("--limit", type=int, default=270, metavar="SECONDS", help="after which the run ends with what it has")
    arguments = parser.parse_args()
    if not arguments.library or not os.path.isfile(arguments.library):
        parser.error("--library names no file: {0}".format(arguments.library))
    if not os.access(arguments.host, os.X_OK):
        parser.error("--host names no program: {0}".format(arguments.host))
    return arguments


def find_gpus() -> List[Dict[str, str]]:
    fields = ["uuid", "name", "driver_version", "memory.total"]
    command = ["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader"]
    said = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode()
    return [dict(zip(fields, (part.strip() for part in line.split(",")))) for line in said.splitlines() if line.strip()]


def make_plan(arguments: argparse.Namespace, gpus: List[Dict[str, str]]) -> Plan:
    on_gpu = arguments.device == "cuda"
    ranks = arguments.ranks or (min(2, len(gpus)) if on_gpu else 2)
    names = [gpu["uuid"] for gpu in gpus[:ranks]] if on_gpu else ["HOST-{0}".format(i) for i in range(ranks)]
    if len(names) < ranks:
        raise StepFailed("{0} ranks need as many GPUs; there are {1}".format(ranks, len(names)))
    return Plan(
        gpus=names, is_on_gpu=on_gpu, layers=32 if on_gpu else 2, page_bytes=2 << 20,
        peak_pages=arguments.peak_pages or (280 if on_gpu else 40), operations=arguments.operations or (100_000 if on_gpu else 20_000),
        rounds=arguments.rounds, times=arguments.times, decay_seconds=arguments.decay, kept_decay_seconds=arguments.kept_decay,
    )


def header(plan: Plan, gpus: List[Dict[str, str]], source: str) -> Dict[str, Any]:
    found: Dict[str, Any] = {
        "benchmark": "vs-kvcached", "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "device": gpus[: plan.ranks],
        "processors": os.cpu_count(), "python": platform.python_version(), "loadAverage": os.getloadavg(), "settings": plan.facts(),
        "kvcachedSource": os.path.basename(os.path.abspath(source)) if source else None,
    }
    if plan.is_on_gpu:
        import importlib.metadata

        found["torch"] = importlib.metadata.version("torch")
    return found


def main() -> int:
    arguments = parse()
    os.makedirs(arguments.out, exist_ok=True)
    gpus = find_gpus() if arguments.device == "cuda" else []
    plan = make_plan(arguments, gpus)
    folder = tempfile.mkdtemp(prefix="kvcached-vs-")
    facts = header(plan, gpus, arguments.source)
    path = os.path.join(arguments.out, arguments.name)

    def save(bench: Bench) -> None:
        """The rows are a list of their own; all that explains them lies beside it."""
        write(path + ".json", bench.rows)
        write(path + "-facts.json", dict(facts, steps=bench.steps, notes=systems.notes, condition=bench.condition,
                                          driver=bench.limits.facts, memory=systems.memory_facts))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(arguments.limit)
    bench = None
    try:
        built = None
        if arguments.source:
            print("building kvcached ...", end=" ", flush=True)
            started = time.monotonic()
            built = theirs.build(arguments.source, arguments.built or os.path.join(folder, "kvcached"), arguments.build_timeout)
            facts["kvcachedBuildSeconds"] = round(time.monotonic() - started, 1)
            print("{0} s".format(facts["kvcachedBuildSeconds"]), flush=True)
        client = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "python")
        systems = Systems(plan, os.path.abspath(arguments.host), os.path.abspath(arguments.library), client, built, folder)
        bench = Bench(plan, systems, save)
        bench.run()
        failed = [step for step in bench.steps if step["problem"]]
        return 1 if failed else 0
    except StepFailed as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        if bench is not None:
            print("\n" + table(bench.rows) + "\n\n" + condition_table(bench.condition), flush=True)
        keep_logs(folder, path + "-logs")
        shutil.rmtree(folder, ignore_errors=True)


def end(number: int, _: object) -> None:
    """By an exception, so that what was started ends too."""
    signal.signal(number, signal.SIG_IGN)
    print("ended by {0}".format(signal.Signals(number).name), flush=True)
    sys.exit(128 + number)


def write(path: str, what: Any) -> None:
    with open(path + ".new", "w") as file:
        json.dump(what, file, indent=2)
        file.write("\n")
    os.replace(path + ".new", path)


def keep_logs(folder: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(folder):
        if name.endswith(".log"):
            shutil.copy(os.path.join(folder, name), target)


if __name__ == "__main__":
    sys.exit(main())
