"""Two hosts and an engine's processes, for tests on real GPUs: everything is told and asked line by line."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 60


class Refused(Exception):
    """A command that had to succeed didn't."""


class Domain:
    """Two hosts of one domain; the second is told which of its driver's calls fail."""

    def __init__(self, program, gpus, faults=(), memory="1GiB"):
        self.folder = tempfile.mkdtemp(prefix="kvcached-")
        self.gpus, self.sockets, self._hosts, self._probes = [], [], [], []
        seed = []
        for number, gpu in enumerate(gpus):
            told = [word for fault in faults for word in ("--test-fail", fault)] if number == 1 else []
            command = [program, "--gpu", gpu, "--hosts", str(len(gpus)), "--memory", memory, "--port", "0", "--management-port", "0"]
            command += ["--run-dir", self.folder, "--housekeeping-interval", "200ms"] + seed + told
            errors = open(os.path.join(self.folder, "host-{0}.log".format(number)), "wb")
            host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=dict(os.environ, XDG_RUNTIME_DIR=self.folder))
            self._hosts.append(host)
            line = host.stdout.readline()
            if not line:
                raise RuntimeError("host {0} did not start:\n{1}".format(number, open(errors.name).read()[-2000:]))
            ready = json.loads(line.decode())
            self.gpus.append(ready["gpu"])
            self.sockets.append(ready["socket"])
            if not seed:
                seed = ["--seed", "127.0.0.1:{0}".format(ready["port"])]
                self._address = "http://127.0.0.1:{0}".format(ready["managementPort"])
        until(lambda: self.ask("/ready").get("status") == "ready", "the domain is ready")

    def ask(self, path):
        try:
            with urllib.request.urlopen(self._address + path, timeout=PATIENCE_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            return json.load(refused)

    def start(self, program):
        probe = Probe(program)
        self._probes.append(probe)
        return probe

    def is_settled(self):
        """Nothing is under way, and nothing is held back."""
        return all(gpu["reservedBytes"] == 0 and gpu["quarantinedBytes"] == 0 for gpu in self.ask("/gpus"))

    def close(self):
        for process in [probe.process for probe in self._probes] + self._hosts:
            process.kill()
        for process in [probe.process for probe in self._probes] + self._hosts:
            process.wait(PATIENCE_SECONDS)
        shutil.rmtree(self.folder)


class Probe:
    """A scheduler's or worker's process."""

    def __init__(self, program):
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process ended at '{0}'".format(command))
        return json.loads(line)

    def do(self, command):
        answer = self.ask(command)
        if not answer["ok"]:
            raise Refused("{0}: {1}: {2}".format(command, answer["reason"], answer["text"]))
        return answer


def until(is_so, what):
    """Asks again and again; what it waits for comes about by itself, but not at once."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError("it never came about that " + what)
        time.sleep(0.05)
