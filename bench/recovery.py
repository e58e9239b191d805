"""How long recovery takes: two hosts on main memory, a scheduler and its workers, whose parts are killed again and again.

    PYTHONPATH=python KVCACHED_LIBRARY=artifacts/native/libkvcached.so python3 bench/recovery.py --host PROGRAM [--times 5] [--extents 1000] [--json FILE]
Run it on a machine that does nothing else. What is measured is said beside each figure; docs/recovery.md has the targets.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import kvcached_client as kvc

PAGE = 2 << 20
OPTIONS = kvc.PoolOptions(grow_ahead=False, warm_decay=None, null_block=False)
MEASURES = {
    "mapperRestart": "page mapper fails -> longest time between two grants",
    "workerReattach": "a new worker attaches -> everything that the pool holds is mapped",
    "hostUp": "host is started again -> it says that it is ready",
    "hostAdopted": "host is started again -> it has taken over what its worker held",
    "grantAfterAdoption": "adoption -> first grant on both ranks",
    "coordinatorKilled": "SIGKILL of the coordinator's host -> first grant to a pool that doesn't need it",
    "coordinatorLeaves": "SIGTERM of the coordinator's host -> longest time between two grants to a pool that doesn't need it",
}


class Host:
    """One host, which can be started again in its place."""

    def __init__(self, program, folder, number):
        self.program, self.folder, self.number = program, folder, number
        self.log = os.path.join(folder, "host-{0}.log".format(number))

    def start(self, seed=None):
        command = [self.program, "--gpu", "none:{0}".format(self.number), "--hosts", "2", "--memory", "8GiB", "--port", "0", "--management-port", "0"]
        command += ["--test-crash-signal"] + (["--seed", "127.0.0.1:{0}".format(seed.said["port"])] if seed else [])
        self.logged = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=dict(os.environ, XDG_RUNTIME_DIR=self.folder))
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("host {0} did not start: see {1}".format(self.number, self.log))
        self.said = json.loads(line.decode())

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(60)
        self.process.stdout.close()

    def wait_for_line(self, pattern):
        """Time of day of the first line since the last start that has the pattern."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with open(self.log, encoding="utf-8") as log:
                log.seek(self.logged)
                for line in log:
                    if re.search(pattern, line):
                        at = re.match(r"(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+\.\d+)Z", line)
                        hours, minutes, seconds = int(at.group(4)), int(at.group(5)), float(at.group(6))
                        return hours * 3600 + minutes * 60 + seconds
            time.sleep(0.01)
        raise RuntimeError("host {0} never said '{1}'".format(self.number, pattern))


def seconds_of_day():
    return time.time() % 86400


def spec(name, gpus):
    group = kvc.multi_head(
        "full", layers=1, kv_heads=2, head_elements=64, dtype="float16", tensor_parallel=len(gpus), virtual_bytes=4096 * PAGE, page_bytes=PAGE
    )
    return kvc.PoolSpec(name, [group], gpus)


def worker(pipe, socket, pool, rank, gpu):
    spec(pool, [gpu]).check()  # the library has started before the clock does
    pipe.recv()
    since = time.monotonic()
    with kvc.Arena(socket, pool, rank, gpu) as arena:
        pipe.send((time.monotonic() - since, arena.stats().extents))
        try:
            pipe.recv()
        except EOFError:
            pass


class Worker:
    def __init__(self, host, pool, rank):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=worker, args=(theirs, host.said["socket"], pool, rank, "HOST-{0}".format(host.number)), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.send("go")
        self.seconds, self.extents = self.pipe.recv()

    def kill(self):
        self.process.kill()
        self.process.join()


def until_granted(pool):
    """Asks for a page until one is granted; when it was."""
    while True:
        try:
            pool.grow(0, 1, timeout=5)
            return
        except kvc.UnavailableError:
            continue


def longest_gap(pool, keep, disturb, seconds):
    """Takes and gives back a page again and again, beside those to keep, while something happens: the longest time between two grants."""
    until_granted(pool)
    began = last = time.monotonic()
    longest = 0.0
    disturb()
    while last - began < seconds:
        until_granted(pool)
        pool.trim(0, warm_pages_to_keep=keep, timeout=5)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


def measure_group(hosts, extents, times, add):
    """What happens to a pool over both hosts."""
    with kvc.Session(hosts[0].said["socket"], "bench") as session, session.open_pool(spec("both", ["HOST-0", "HOST-1"]), OPTIONS) as pool:
        workers = [Worker(hosts[rank], "both", rank) for rank in range(2)]
        for _ in range(extents):
            until_granted(pool)
        for _ in range(times):
            add("mapperRestart", longest_gap(pool, extents, lambda: hosts[1].process.send_signal(signal.SIGUSR1), 1.0))

            workers[1].kill()
            workers[1] = Worker(hosts[1], "both", 1)
            assert workers[1].extents >= extents, workers[1].extents
            add("workerReattach", workers[1].seconds)

            hosts[1].end(signal.SIGKILL)
            since, at = time.monotonic(), seconds_of_day()
            hosts[1].start(hosts[0])
            add("hostUp", time.monotonic() - since)
            until_granted(pool)
            granted = seconds_of_day()
            adopted = hosts[1].wait_for_line("has taken over")
            add("hostAdopted", adopted - at)
            add("grantAfterAdoption", max(0.0, granted - adopted))
        for one in workers:
            one.kill()


def measure_coordinator(hosts, times, add):
    """What a pool on the other host notices when the coordinator's host ends."""
    first, other = hosts
    for number in [signal.SIGKILL, signal.SIGTERM] * times:
        with kvc.Session(other.said["socket"], "bench") as session:
            with session.open_pool(spec("alone", ["HOST-{0}".format(other.number)]), OPTIONS) as pool:
                one = Worker(other, "alone", 0)
                until_granted(pool)
                since = time.monotonic()
                if number == signal.SIGKILL:
                    first.end(number)
                    until_granted(pool)
                    add("coordinatorKilled", time.monotonic() - since)
                else:
                    add("coordinatorLeaves", longest_gap(pool, 0, lambda host=first: host.process.send_signal(number), 3.0))
                    first.end(number)
                one.kill()
        first.start(other)
        first, other = other, first  # the oldest coordinates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", required=True, metavar="PROGRAM", help="the program Kvcached.Host")
    parser.add_argument("--times", type=int, default=5, help="how often each thing is done (default 5)")
    parser.add_argument("--extents", type=int, default=1000, help="extents that the pool holds (default 1000)")
    parser.add_argument("--json", metavar="FILE", help="writes all figures there")
    arguments = parser.parse_args()

    folder = tempfile.mkdtemp(prefix="kvcached-")
    hosts = [Host(arguments.host, folder, number) for number in range(2)]
    figures = {name: [] for name in MEASURES}
    load = os.getloadavg()
    try:
        hosts[0].start()
        hosts[1].start(hosts[0])
        measure_group(hosts, arguments.extents, arguments.times, lambda name, seconds: figures[name].append(seconds))
        measure_coordinator(hosts, arguments.times, lambda name, seconds: figures[name].append(seconds))
    finally:
        for host in hosts:
            if getattr(host, "process", None) and host.process.poll() is None:
                host.end(signal.SIGTERM)
    shutil.rmtree(folder)

    print("{0} extents, {1} processors, load {2:.1f} before; seconds".format(arguments.extents, os.cpu_count(), load[0]))
    for name, what in MEASURES.items():
        values = sorted(figures[name])
        print("  {0:20} p50 {1:6.3f}  largest {2:6.3f}  n={3}   {4}".format(name, values[len(values) // 2], values[-1], len(values), what))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            machine = {"processors": os.cpu_count(), "loadAverage": load, "python": platform.python_version(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            json.dump({"benchmark": "recovery", "machine": machine, "extents": arguments.extents, "what": MEASURES, "seconds": figures}, file, indent=2)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
