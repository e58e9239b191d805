"""Continuous batching: one thread that computes a token for every running sequence in each step, admits and preempts."""

import collections
import queue
import threading
import time

import kvcached_client as kvc
from kv_blocks import TOKENS_PER_BLOCK
from tiny_model import END, TinyModel

MAX_BATCH = 32
IDLE_SECONDS = 0.05


class EngineError(Exception):
    """What a client is told: a status, and why."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Request:
    """One sequence, and where its tokens go: integers, then None, or an EngineError; an embedding comes as a list."""

    def __init__(self, prompt, max_tokens, is_embedding=False):
        self.prompt = prompt
        self.max_tokens = max_tokens
        self.is_embedding = is_embedding
        self.out = queue.Queue()
        self.is_cancelled = False
        self.tokens = list(prompt)  # with what was generated
        self.blocks = []
        self.computed = 0  # tokens whose keys and values are in the blocks

    @property
    def generated(self):
        return len(self.tokens) - len(self.prompt)


class Engine:
    """Runs the model. All its work is done by one thread; others hand it requests and orders."""

    def __init__(self, name, blocks, arena, max_tokens):
        self.name = name
        self.max_tokens = max_tokens
        self._blocks = blocks
        self._arena = arena
        self._model = TinyModel(name)
        self._inbox = queue.Queue()
        self._waiting = collections.deque()
        self._running = []
        self._step = 0
        self._is_crowded = False  # somebody was preempted since the last sequence ended: nobody else would fit either
        self._is_asleep = False
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self):
        self._thread.start()

    @property
    def is_asleep(self):
        return self._is_asleep

    @property
    def failure(self):
        """Why it can't go on; None while it can."""
        return self._failure

    def submit(self, request):
        self._inbox.put(request)

    def order(self, what, timeout=120.0):
        """Has the engine's thread call ``what(engine)`` between two steps, and returns or raises what that does."""
        answer = queue.Queue()
        self._inbox.put((what, answer))
        is_good, result = answer.get(timeout=timeout)
        if is_good:
            return result
        raise result

    def sleep(self, keep_kv, keep_weights):
        def do(engine):
            if engine._running or engine._waiting:
                raise EngineError(409, "requests are being answered; try again when they have ended")
            if not engine._is_asleep:
                engine._is_asleep = True
                if not keep_weights:
                    engine._model = None
                return {"pages_returned": engine._blocks.sleep(keep_kv), "blocks_kept": engine._blocks.parked_count}
            return {"pages_returned": 0, "blocks_kept": engine._blocks.parked_count}

        return self.order(do)

    def wake(self):
        def do(engine):
            if not engine._is_asleep:
                return {"blocks_restored": 0, "blocks_dropped": 0}
            if engine._model is None:
                engine._model = TinyModel(engine.name)
            restored, dropped = engine._blocks.wake()
            engine._is_asleep = False
            return {"blocks_restored": restored, "blocks_dropped": dropped}

        return self.order(do)

    def _run(self):
        try:
            while True:
                self._take_in(wait=not self._running and not self._waiting)
                self._admit()
                self._do_step()
        except Exception as problem:  # the pool is gone, or a fault of ours: say so to all, and to the health check
            self._failure = problem
            for request in self._running + list(self._waiting):
                request.out.put(EngineError(500, "the engine has failed: {0}".format(problem)))
            while True:
                entry = self._inbox.get()
                error = EngineError(500, "the engine has failed: {0}".format(self._failure))
                if isinstance(entry, Request):
                    entry.out.put(error)
                else:
                    entry[1].put((False, error))

    def _take_in(self, wait):
        try:
            while True:
                entry = self._inbox.get(wait, IDLE_SECONDS if wait else None)
                wait = False
                if not isinstance(entry, Request):
                    self._obey(*entry)
                elif self._is_asleep:
                    entry.out.put(EngineError(503, "the engine sleeps; POST /wake_up first"))
                else:
                    self._waiting.append(entry)
        except queue.Empty:
            self._blocks.forget_what_was_evicted()

    def _obey(self, what, answer):
        try:
            answer.put((True, what(self)))
        except EngineError as refusal:
            answer.put((False, refusal))
        except Exception as problem:
            answer.put((False, EngineError(500, str(problem))))
            raise

    def _admit(self):
        if self._is_crowded and self._running:
            return
        while self._waiting and len(self._running) < MAX_BATCH:
            request = self._waiting.popleft()
            if request.is_cancelled:
                continue
            request.blocks = self._blocks.take_prefix(request.tokens)
            request.computed = len(request.blocks) * TOKENS_PER_BLOCK
            self._running.append(request)

    def _do_step(self):
        if not self._running:
            return
        self._step += 1
        for request in list(self._running):
            if request in self._running:  # not preempted for another one in this step
                self._advance(request)
        self._arena.step_done(self._step)

    def _advance(self, request):
        """Computes all that is missing of a sequence: its prompt at first, then a token."""
        if request.is_cancelled:
            self._end(request, None)
            return
        if not self._make_room(request):
            return
        while request.computed < len(request.tokens):
            hidden = self._model.forward(request.tokens[request.computed], request.computed, self._blocks.caches, request.blocks, TOKENS_PER_BLOCK)
            request.computed += 1
        if request.is_embedding:
            request.out.put([float(value) for value in hidden])
            self._end(request, None)
            return
        token = self._model.next_token(hidden, request.computed)
        if token == END:
            self._end(request, None)
            return
        request.tokens.append(token)
        request.out.put(token)
        if request.generated >= request.max_tokens:
            self._end(request, None)

    def _make_room(self, request):
        missing = -(-len(request.tokens) // TOKENS_PER_BLOCK) - len(request.blocks)
        while missing > 0:
            try:
                request.blocks += self._blocks.allocate(missing)
                return True
            except kvc.UnavailableError:
                # A host is away or comes back; the pool's own state says whether that can pass.
                self._blocks.pool.check()
                time.sleep(IDLE_SECONDS)
            except kvc.MemoryRefusedError as refusal:
                if self._running == [request]:
                    self._end(request, EngineError(503, "out of KV memory: {0}".format(refusal)))
                    return False
                if self._preempt_latest() is request:
                    return False
        return True

    def _preempt_latest(self):
        """Takes the blocks of the sequence that came last; it is computed again once another has ended."""
        victim = self._running.pop()
        self._release(victim)
        self._waiting.appendleft(victim)
        self._is_crowded = True
        return victim

    def _end(self, request, error):
        self._running.remove(request)
        self._is_crowded = False
        self._release(request)
        request.out.put(error)

    def _release(self, request):
        self._blocks.release(request.blocks, request.tokens[: request.computed], self._step)
        request.blocks, request.computed = [], 0
