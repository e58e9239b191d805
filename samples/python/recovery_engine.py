"""An engine whose parts can be killed one by one: a scheduler process and a worker process per rank, each doing what it is told through a pipe."""

import ctypes
import multiprocessing
import os
from array import array

import kvcached_client as kvc

GROUP = "full"
WORD_BYTES = 8
OPTIONS = kvc.PoolOptions(grow_ahead=False, warm_decay=None, null_block=False)


def make_spec(name, gpus):
    group = kvc.multi_head(
        GROUP,
        layers=4,
        kv_heads=8,
        head_elements=64,
        tokens_per_block=16,
        dtype="float16",
        tensor_parallel=len(gpus),
        virtual_bytes=1 << 30,
    )
    return kvc.PoolSpec(name, [group], gpus)


def first_word(seed, rank, tensor):
    """Where the words of a block start to count: no two blocks, ranks, layers or buffers hold the same."""
    return ((seed * 64 + rank) * 1024 + tensor.layer * 2 + tensor.buffer) << 20


class MainMemory:
    """Writes blocks and counts those that differ, in main memory."""

    def __init__(self, arena):
        self.rank, self.tensors = arena.rank, arena.tensors

    def _content(self, tensor, seed):
        first = first_word(seed, self.rank, tensor)
        return array("q", range(first, first + tensor.block_bytes // WORD_BYTES)).tobytes()

    def write(self, blocks):
        for tensor in self.tensors:
            for block, seed in blocks:
                ctypes.memmove(tensor.address + block * tensor.block_stride_bytes, self._content(tensor, seed), tensor.block_bytes)

    def count_wrong(self, blocks):
        wrong = 0
        for tensor in self.tensors:
            for block, seed in blocks:
                found = ctypes.string_at(tensor.address + block * tensor.block_stride_bytes, tensor.block_bytes)
                wrong += found != self._content(tensor, seed)
        return wrong


class GpuMemory:
    """The same by kernels on a GPU."""

    def __init__(self, arena):
        import torch

        self.torch, self.rank = torch, arena.rank
        self.views = [(tensor, tensor.torch(torch.int32, (tensor.block_bytes // 4,)).view(torch.int64)) for tensor in arena.tensors]

    def _content(self, tensor, blocks):
        first = self.torch.tensor([first_word(seed, self.rank, tensor) for _, seed in blocks], device="cuda", dtype=self.torch.int64)
        return first[:, None] + self.torch.arange(tensor.block_bytes // WORD_BYTES, device="cuda", dtype=self.torch.int64)

    def write(self, blocks):
        where = self.torch.tensor([block for block, _ in blocks], device="cuda")
        for tensor, view in self.views:
            view[where] = self._content(tensor, blocks)
        self.torch.cuda.synchronize()

    def count_wrong(self, blocks):
        where = self.torch.tensor([block for block, _ in blocks], device="cuda")
        return sum(int((view[where] != self._content(tensor, blocks)).any(1).sum()) for tensor, view in self.views)


def work(pipe, socket, pool, rank, gpu):
    """The worker of one rank."""
    if gpu.startswith("GPU-"):
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA starts in this process
        import torch

        torch.cuda.set_device(0)
        torch.zeros(1, device="cuda")
    with kvc.Arena(socket, pool, rank, gpu) as arena:
        memory = MainMemory(arena) if arena.is_host_accessible else GpuMemory(arena)
        pipe.send("attached")
        while True:
            try:
                what, blocks = pipe.recv()
            except EOFError:
                return
            if what == "write":
                pipe.send(memory.write(blocks))
            elif what == "count wrong":
                pipe.send(memory.count_wrong(blocks))
            elif what == "read on":  # until something else is asked; says how often it read, and what was wrong
                pipe.send("reading")
                reads = wrong = 0
                while not pipe.poll(0.02):
                    wrong += memory.count_wrong(blocks)
                    reads += 1
                pipe.recv()
                pipe.send((reads, wrong))
            elif what == "attached?":
                arena.check()
                pipe.send(arena.is_attached)


def schedule(pipe, socket, name, gpus):
    """The scheduler: opens the pool, or takes it over, and answers each request with a value or with the name of the error."""
    session = None
    while True:
        try:
            what, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            if what == "open":
                session = session or kvc.Session(socket, "recovery-sample")
                pool = session.open_pool(make_spec(name, gpus), OPTIONS, timeout=5)
                answer = None
            elif what == "grow":
                answer = pool.grow(GROUP, arguments[0], timeout=arguments[1])
            elif what == "alloc":
                answer = pool.alloc(GROUP, arguments[0])
            elif what == "alloc or grow":
                answer = pool.alloc_or_grow(GROUP, arguments[0], timeout=arguments[1])
            elif what == "cache":
                for block, seed in arguments[0]:
                    pool.cache(GROUP, block, seed.to_bytes(8, "little"), kvc.STEP_NONE)
                answer = None
            elif what == "cached":
                answer = [(b.block, int.from_bytes(b.tag, "little")) for b in pool.tagged_blocks(GROUP)]
            elif what == "close":
                pool.close()
                session.close()
                answer = None
            pipe.send((True, answer))
        except kvc.KvcachedError as problem:
            pipe.send((False, type(problem).__name__ + ": " + str(problem)))


class Refused(Exception):
    """What the library answered with an error."""


class Part:
    """A process of the engine and the pipe to it."""

    def __init__(self, function, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=function, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def send(self, *request):
        self.pipe.send(request)

    def receive(self, seconds=120):
        if not self.pipe.poll(seconds):
            raise TimeoutError("process {0} said nothing for {1} s".format(self.process.pid, seconds))
        return self.pipe.recv()

    def ask(self, *request):
        self.send(*request)
        return self.receive()

    def demand(self, *request):
        """As :meth:`ask` of a scheduler; raises :class:`Refused` with what it was refused for."""
        is_done, answer = self.ask(*request)
        if not is_done:
            raise Refused(answer)
        return answer

    def kill(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()
