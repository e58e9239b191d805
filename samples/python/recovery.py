"""Kills the parts of a running engine and its hosts, one after the other, and reads every block back bit for bit each time.

Starts a host per GPU, an engine of one scheduler and one worker per rank, and needs nothing else:
    python3 recovery.py --host PROGRAM --gpus none:0 none:1        on main memory
    python3 recovery.py --host PROGRAM --gpus GPU-uuid GPU-uuid    on GPUs, with PyTorch
Prints what it did and how long that took; exit code 0 when nothing was lost.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from recovery_engine import Part, Refused, schedule, work

POOL = "survivor"
BLOCKS = 192


class Hosts:
    """A host per GPU, each of which can be killed and started again."""

    def __init__(self, program, gpus, memory):
        self.program, self.gpus, self.memory = program, gpus, memory
        self.folder = tempfile.mkdtemp(prefix="kvcached-")
        self.processes, self.said = [None] * len(gpus), [None] * len(gpus)
        # Main memory needs no lock against other hosts of this machine that lend some.
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=self.folder) if gpus[0].startswith("none") else None

    def start(self, number):
        """Starts a host, or starts it again; returns once it says that it is ready."""
        command = [self.program, "--gpu", self.gpus[number], "--hosts", str(len(self.gpus)), "--memory", self.memory]
        command += ["--port", "0", "--management-port", "0", "--run-dir", os.path.join(self.folder, "run")]
        seeds = [said["port"] for other, said in enumerate(self.said) if said and other != number and self.processes[other].poll() is None]
        command += ["--seed", "127.0.0.1:{0}".format(seeds[0])] if seeds else []
        with open(os.path.join(self.folder, "host-{0}.log".format(number)), "ab") as log:
            self.processes[number] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.environment)
        line = self.processes[number].stdout.readline()
        if not line:
            raise RuntimeError("host {0} did not start; see {1}".format(number, self.folder))
        self.said[number] = json.loads(line.decode())

    def kill(self, numbers):
        for number in numbers:
            self.processes[number].kill()
        for number in numbers:
            self.processes[number].wait()
            self.processes[number].stdout.close()

    def stop(self):
        processes = [process for process in self.processes if process]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)

    @property
    def sockets(self):
        return [said["socket"] for said in self.said]


class Run:
    """The engine, what its blocks hold, and the attempts on it."""

    def __init__(self, hosts, gpus):
        self.hosts, self.gpus = hosts, gpus
        self.scheduler = Part(schedule, hosts.sockets[0], POOL, gpus)
        self.scheduler.demand("open")
        self.workers = [None] * len(gpus)
        for rank in range(len(gpus)):
            self.start_worker(rank)
        self.blocks = []
        self.write(self.until("the first blocks", "alloc or grow", BLOCKS, 10))
        self.check("written")

    def start_worker(self, rank):
        self.workers[rank] = Part(work, self.hosts.sockets[rank], POOL, rank, self.gpus[rank])
        assert self.workers[rank].receive() == "attached"

    def check(self, what, since=None):
        wrong = [worker.ask("count wrong", self.blocks) for worker in self.workers]
        if any(wrong):
            raise AssertionError("{0}: blocks that differ, by rank: {1}".format(what, wrong))
        took = " after {0:.2f} s".format(time.monotonic() - since) if since else ""
        print("{0}: {1} blocks on {2} ranks right{3}".format(what, len(self.blocks), len(self.workers), took), flush=True)

    def until(self, what, *request):
        """Asks the scheduler again while it is refused because something isn't back yet."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.scheduler.demand(*request)
            except Refused as problem:
                if not str(problem).startswith("Unavailable") or time.monotonic() > deadline:
                    raise AssertionError("{0}: {1}".format(what, problem)) from problem

    def until_attached(self, rank, worker):
        """The pages were granted from what is mapped already, which can be before the worker has found its new host."""
        deadline = time.monotonic() + 60
        while not worker.ask("attached?", None):
            if time.monotonic() > deadline:
                raise AssertionError("worker {0} isn't attached to its host's new life".format(rank))
            time.sleep(0.01)

    def write(self, blocks):
        """Has all workers write into new blocks what no other block holds."""
        fresh = [(block, len(self.blocks) + n) for n, block in enumerate(blocks)]
        for worker in self.workers:
            worker.ask("write", fresh)
        self.blocks += fresh

    def kill_worker(self, rank):
        self.workers[rank].kill()
        since = time.monotonic()
        self.start_worker(rank)
        self.check("worker {0} killed and started again".format(rank), since)

    def kill_hosts(self, numbers):
        what = "host " + " and ".join(map(str, numbers))
        for worker in self.workers:
            assert worker.ask("read on", self.blocks) == "reading"
        self.hosts.kill(numbers)
        try:
            self.scheduler.demand("grow", 1, 1)
            print("{0} killed: a page was granted meanwhile".format(what))
        except Refused as problem:
            if problem.args[0].split(":")[0] not in ("UnavailableError", "MemoryRefusedError"):
                raise AssertionError("{0}: {1}".format(what, problem)) from problem
            print("{0} killed: {1}".format(what, problem), flush=True)
        for number in numbers:
            self.hosts.start(number)
        since = time.monotonic()
        fresh = self.until(what, "alloc or grow", BLOCKS, 10)
        print("{0} started again: pages granted on all ranks {1:.2f} s later".format(what, time.monotonic() - since))
        for rank, worker in enumerate(self.workers):
            reads, wrong = worker.ask("stop", None)
            if not reads or wrong:
                raise AssertionError("{0}: worker {1} read {2} times, {3} blocks differed".format(what, rank, reads, wrong))
            self.until_attached(rank, worker)
            print("  worker {0} read on all the time, {1} times all blocks, nothing differed".format(rank, reads))
        self.write(fresh)
        self.check(what + " adopted what the workers held")
        for number in numbers:
            self.kill_worker(number)  # what it maps now comes from the host's new life

    def kill_engine(self):
        self.scheduler.demand("cache", self.blocks)
        for part in [self.scheduler, *self.workers]:
            part.kill()
        since = time.monotonic()
        self.restart_scheduler()
        for rank in range(len(self.gpus)):
            self.start_worker(rank)
        self.check("scheduler and workers killed, all tagged blocks found", since)

    def restart_scheduler(self):
        self.scheduler = Part(schedule, self.hosts.sockets[-1], POOL, self.gpus)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.scheduler.demand("open")
                break
            except Refused as problem:  # its predecessor's session hasn't ended yet
                if time.monotonic() > deadline:
                    raise AssertionError("the pool was not taken over: {0}".format(problem)) from problem
        found = self.scheduler.demand("cached")
        if sorted(found) != sorted(self.blocks):
            raise AssertionError("{0} tagged blocks were found instead of {1}".format(len(found), len(self.blocks)))

    def stop_scheduler(self):
        stopped = self.scheduler
        os.kill(stopped.process.pid, signal.SIGSTOP)
        since = time.monotonic()
        self.restart_scheduler()
        took = time.monotonic() - since
        os.kill(stopped.process.pid, signal.SIGCONT)
        is_done, answer = stopped.ask("alloc", 1)
        if is_done:
            raise AssertionError("a scheduler that was stopped past its lease allocated block {0}".format(answer))
        stopped.kill()
        print("scheduler stopped: another took the pool over after {0:.2f} s; continued, it is told: {1}".format(took, answer))
        self.check("nothing was touched")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", required=True, metavar="PROGRAM", help="the program Kvcached.Host")
    parser.add_argument("--gpus", required=True, nargs="+", metavar="GPU", help="UUID of each, or none:K for main memory")
    parser.add_argument("--memory", default="1GiB", help="what each host may lend (default 1GiB)")
    arguments = parser.parse_args()
    if len(arguments.gpus) < 2:
        parser.error("two GPUs or more are needed")

    hosts = Hosts(arguments.host, arguments.gpus, arguments.memory)
    try:
        for number in range(len(arguments.gpus)):
            hosts.start(number)
        attempt_all(Run(hosts, [gpu.replace("none:", "HOST-") for gpu in arguments.gpus]))
    except BaseException:
        print("the hosts' logs are in " + hosts.folder, file=sys.stderr)
        hosts.stop()
        raise
    hosts.stop()
    shutil.rmtree(hosts.folder)
    print("nothing was lost")
    return 0


def attempt_all(run):
    numbers = list(range(len(run.gpus)))
    for rank in numbers:
        run.kill_worker(rank)
    for number in numbers:
        run.kill_hosts([number])
    run.kill_hosts(numbers)
    run.kill_engine()
    run.stop_scheduler()
    run.scheduler.demand("close")


if __name__ == "__main__":
    sys.exit(main())
