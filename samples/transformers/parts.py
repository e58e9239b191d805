"""An engine in a process of its own, which takes requests while it runs and says when each token came."""

import multiprocessing
import os
import sys
import threading
import time
import traceback

START_SECONDS = 120


def serve(pipe, options):
    """Body of the process: makes model and engine, then does as it is told until the pipe ends.

    :param options: ``model`` (arguments of ``make_model``), ``engine`` (of ``make_manager``), ``kvcached`` (of ``Settings``; None for the engine's own
        memory) and ``gib`` (GiB of GPU memory that PyTorch may take, or None).
    """
    sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python")]
    try:
        import torch
        from model import make_manager, make_model

        from kvcached_client.integrations import transformers as kvcached

        model = make_model(**options["model"])
        if options["kvcached"]:
            kvcached.enable(kvcached.Settings(**options["kvcached"]))
        manager = make_manager(model, **options["engine"])
        manager.warmup()
        manager.start()
    except Exception as problem:
        pipe.send(("failed", "{0}: {1}".format(type(problem).__name__, problem), traceback.format_exc()))
        return
    pipe.send(("ready", torch.cuda.memory_allocated()))
    lock, submitted, over = threading.Lock(), {}, threading.Event()

    def say(*words):
        with lock:
            pipe.send(words)

    def collect():
        firsts = {}
        while not over.is_set():
            answer = manager.get_result(timeout=0.1)
            if answer is None:
                if not manager.is_running() and not over.is_set():
                    say("died", "{0!r}".format(getattr(manager, "fatal_error", None)))
                    return
                continue
            now = time.perf_counter()
            if answer.generated_tokens:
                firsts.setdefault(answer.request_id, now)
            if answer.is_finished() or answer.error:
                begun = submitted.pop(answer.request_id, now)
                first = firsts.pop(answer.request_id, now)
                say("done", answer.request_id, list(answer.generated_tokens), answer.error, first - begun, now - begun)

    collector = threading.Thread(target=collect, daemon=True)
    collector.start()
    try:
        while True:
            command, *words = pipe.recv()
            if command == "submit":
                name, prompt, new_tokens = words
                submitted[name] = time.perf_counter()
                manager.add_request(prompt, request_id=name, max_new_tokens=new_tokens, streaming=True)
            elif command == "state":
                memory = kvcached.memory_of(manager)
                say("state", describe(memory) if memory else {})
            else:
                break
    except EOFError:
        pass
    over.set()
    collector.join(10)
    manager.stop(block=True, timeout=30)
    try:
        pipe.send(("stopped",))
    except OSError:
        return


def describe(memory):
    """What an engine on Kvcached holds: bytes, blocks and misses."""
    mapped, live = memory.pool.rank_bytes(0)
    elastic = memory.elastic
    return {
        "mapped_bytes": mapped, "used_bytes": live, "blocks_in_use": elastic.in_use, "capacity": elastic.capacity, "misses": elastic.misses,
        "refusal": elastic.refusal, "kept_blocks_lost": elastic.losses, "step": memory.clock.prepared, "completed_step": memory.arena.stats().completed_step,
    }


class Engine:
    """An engine's process from outside.

    :ivar done: What each finished request was answered: tokens, error, seconds to the first token, seconds.
    :ivar died: Why its thread ended by itself, or None.
    """

    def __init__(self, name, model, engine, kvcached=None):
        self.name, self.done, self.died, self._state = name, {}, None, None
        self._lock, self._news = threading.Lock(), threading.Condition()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, {"model": model, "engine": engine, "kvcached": kvcached}), name=name)
        self.process.start()
        theirs.close()
        self.start_error = None
        self._is_ready = self._has_stopped = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                kind, *words = self._pipe.recv()
            except (EOFError, OSError):
                kind, words = "stopped", []
            with self._news:
                if kind == "done":
                    self.done[words[0]] = words[1:]
                elif kind == "died":
                    self.died = words[0]
                elif kind == "ready":
                    self._is_ready = True
                elif kind == "failed":
                    self.start_error = words
                elif kind == "state":
                    self._state = words[0]
                else:
                    self._has_stopped = True
                self._news.notify_all()
            if self._has_stopped:
                return

    def wait_for(self, condition, seconds, what):
        """Waits until it is so; raises TimeoutError, with what was waited for, when it isn't in time or the engine ended."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0 or self._has_stopped or self.start_error or self.died:
                    raise TimeoutError(
                        "{0}: {1} (done {2}, died {3}, start error {4}, ended {5})".format(self.name, what, len(self.done), self.died, self.start_error, self._has_stopped)
                    )
                self._news.wait(min(left, 1))

    def require_alive(self):
        """Raises RuntimeError when the engine ended or could not start."""
        with self._news:
            if self._has_stopped or self.start_error or self.died:
                raise RuntimeError("{0} ended: died {1}, start error {2}, ended {3}".format(self.name, self.died, self.start_error, self._has_stopped))

    def wait_ready(self, seconds=START_SECONDS):
        self.wait_for(lambda: self._is_ready, seconds, "did not start")

    def submit(self, name, prompt, new_tokens):
        with self._lock:
            self._pipe.send(("submit", name, prompt, new_tokens))

    def wait_done(self, names, seconds):
        names = list(names)
        self.wait_for(lambda: all(name in self.done for name in names), seconds, "requests were not answered")

    def state(self, seconds=30):
        with self._news:
            self._state = None
        with self._lock:
            self._pipe.send(("state",))
        self.wait_for(lambda: self._state is not None, seconds, "said nothing of its state")
        return self._state

    def kill(self):
        self.process.kill()
        self.process.join(30)

    def stop(self, seconds=60):
        try:
            with self._lock:
                self._pipe.send(("stop",))
        except OSError:
            pass
        self.process.join(seconds)
        if self.process.is_alive():
            self.kill()
