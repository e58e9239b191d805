"""Processes that are told what to do by lines of JSON over a socket, so that what they print disturbs nobody; with a time limit on everything."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Optional

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class StepFailed(Exception):
    """A child said that it couldn't, ended, or took too long."""


class Child:
    """A process of ours. ``role`` is a module of this package with ``main(ask)``."""

    def __init__(self, role: str, name: str, folder: str, environment: Dict[str, str]) -> None:
        self.name = name
        self.log = os.path.join(folder, name + ".log")
        ours, theirs = socket.socketpair()
        variables = dict(os.environ, **environment)
        variables["PYTHONPATH"] = os.pathsep.join([BENCH] + [p for p in variables.get("PYTHONPATH", "").split(os.pathsep) if p])
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vs_kvcached.children", role, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=variables, start_new_session=True,
            )
        theirs.close()
        self._socket = ours
        self._buffer = b""

    def send(self, command: str, **arguments: Any) -> None:
        try:
            self._socket.sendall(json.dumps(dict(arguments, command=command)).encode() + b"\n")
        except OSError as problem:
            raise StepFailed("{0} is gone ({1}): {2}".format(self.name, problem, self.tail())) from problem

    def receive(self, timeout: float) -> Any:
        """The answer to the oldest question that has none yet."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                raise StepFailed("{0} did not answer within {1:.0f} s: {2}".format(self.name, timeout, self.tail()))
            try:
                chunk = self._socket.recv(1 << 20)
            except OSError:
                chunk = b""
            if not chunk:
                raise StepFailed("{0} ended: {1}".format(self.name, self.tail()))
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer = json.loads(line.decode())
        if "error" in answer:
            raise StepFailed("{0}: {1}".format(self.name, answer["error"]))
        return answer["result"]

    def ask(self, command: str, timeout: float = 30, **arguments: Any) -> Any:
        self.send(command, **arguments)
        return self.receive(timeout)

    def tail(self, lines: int = 8) -> str:
        try:
            with open(self.log, "rb") as log:
                return "\n".join(log.read()[-4000:].decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def stop(self, patience: float = 10) -> None:
        """Closing the socket ends it; one that doesn't end is killed."""
        self._socket.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ask_all(children: List[Child], command: str, timeout: float = 30, **arguments: Any) -> List[Any]:
    """All at the same time."""
    for child in children:
        child.send(command, **arguments)
    return [child.receive(timeout) for child in children]


def serve(commands: Dict[str, Callable[..., Any]], descriptor: int) -> None:
    """Answers until the parent closes its end."""
    with socket.socket(fileno=descriptor) as link:
        stream = link.makefile("rwb")
        for line in stream:
            question: Dict[str, Any] = json.loads(line.decode())
            name: str = question.pop("command")
            try:
                answer: Dict[str, Any] = {"result": commands[name](**question)}
            except Exception as problem:  # the parent decides what becomes of it
                traceback.print_exc()
                answer = {"error": "{0} failed: {1}: {2}".format(name, type(problem).__name__, problem)}
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()


def main() -> Optional[int]:
    import importlib

    role = importlib.import_module("vs_kvcached." + sys.argv[1])
    serve(role.commands(), int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # no destructors of either system's threads: memory goes back with the process


if __name__ == "__main__":
    sys.exit(main())
