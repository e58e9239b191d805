"""Two engines on one GPU hand memory to each other, and see nothing of each other's: each page that has moved reads as zeroes in the next process.

The first engine takes all that the host lends, fills it and caches half. The second grows, for which the first loses what it caches; then the first
closes its pool, and the second takes the rest. Each engine has a worker process of its own. With main memory nothing else is needed; a GPU needs PyTorch:
    python3 handover.py --socket HOST0/engine.sock [--gpu GPU-uuid]
"""

import argparse
import ctypes
import multiprocessing
import sys

import kvcached_client as kvc

GROUP = "full"
OPTIONS = kvc.PoolOptions(grow_ahead=False, warm_decay=None, null_block=False)
BLOCKS_AT_ONCE = 1024


def make_spec(name, gpu, virtual_gib):
    group = kvc.multi_head(
        GROUP, layers=4, kv_heads=8, head_elements=64, tokens_per_block=16, dtype="float16", virtual_bytes=virtual_gib << 30
    )
    return kvc.PoolSpec(name, [group], [gpu])


class MainMemory:
    """Fills blocks and counts what isn't zero in them, in main memory."""

    def __init__(self, arena):
        self.tensors = arena.tensors

    def fill(self, blocks, value):
        for tensor in self.tensors:
            for block in blocks:
                ctypes.memset(tensor.address + block * tensor.block_stride_bytes, value, tensor.block_bytes)

    def count(self, blocks):
        dirty = 0
        for tensor in self.tensors:
            for block in blocks:
                content = ctypes.string_at(tensor.address + block * tensor.block_stride_bytes, tensor.block_bytes)
                dirty += len(content) - content.count(0)
        return dirty


class GpuMemory:
    """The same on a GPU, with PyTorch over the arena itself."""

    def __init__(self, arena):
        import torch

        self.torch = torch
        self.views = [tensor.torch(torch.uint8, (tensor.block_bytes,)) for tensor in arena.tensors]

    def fill(self, blocks, value):
        for view in self.views:
            view[self.torch.tensor(blocks, device=view.device)] = value
        self.torch.cuda.synchronize()

    def count(self, blocks):
        return sum(int(self.torch.count_nonzero(view[self.torch.tensor(blocks, device=view.device)])) for view in self.views)


def worker(pipe, socket, pool, gpu):
    """Maps the pool of one engine; does what its scheduler says."""
    with kvc.Arena(socket, pool, 0, gpu) as arena:
        memory = MainMemory(arena) if arena.is_host_accessible else GpuMemory(arena)
        pipe.send("attached")
        while True:
            try:
                what, blocks, value = pipe.recv()
            except EOFError:
                return
            pipe.send(memory.fill(blocks, value) if what == "fill" else memory.count(blocks))
            arena.step_done(1)


class Engine:
    """The scheduler of one engine, with the process of its worker."""

    def __init__(self, arguments, name):
        self.session = kvc.Session(arguments.socket, name)
        self.pool = self.session.open_pool(make_spec(name, arguments.gpu, arguments.virtual_gib), OPTIONS)
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=worker, args=(theirs, arguments.socket, name, arguments.gpu), name=name)
        self.process.start()
        theirs.close()
        assert self.pipe.recv() == "attached"

    def take_all(self):
        """Grows until it is refused, and allocates every block."""
        blocks = []
        for pages in (16, 1):
            while True:
                try:
                    self.pool.grow(GROUP, pages, timeout=60)
                except kvc.UnavailableError:
                    continue  # the coordinator hasn't heard of the worker yet
                except kvc.MemoryRefusedError:
                    break
        blocks += self.pool.alloc(GROUP, self.pool.available(GROUP).free_blocks)
        return blocks

    def each(self, what, blocks, value=0):
        """Has the worker do something with all blocks; the sum of what it answers."""
        total = 0
        for first in range(0, len(blocks), BLOCKS_AT_ONCE):
            self.pipe.send((what, blocks[first : first + BLOCKS_AT_ONCE], value))
            total += self.pipe.recv() or 0
        return total

    def close(self):
        self.pool.close()
        self.pipe.close()
        self.process.join(60)
        self.session.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", required=True, metavar="PATH", help="engine socket of the host")
    parser.add_argument("--gpu", default="HOST-0", metavar="ID", help="its GPU: the UUID, or HOST-n (default HOST-0)")
    parser.add_argument("--virtual-gib", type=int, default=64, help="room of each pool, above what the host lends (default 64)")
    arguments = parser.parse_args()

    first = Engine(arguments, "first")
    given = first.take_all()
    first.each("fill", given, 0xA5)
    cached = sorted(given)[: len(given) // 2]  # of whole pages; the others stay in use, so that something is left until it closes
    for number, block in enumerate(cached):
        first.pool.cache(GROUP, block, number.to_bytes(8, "little"), 1)
    print("first: {0} blocks filled in {1} pages, half of them cached".format(len(given), first.pool.stats().mapped_pages), flush=True)

    second = Engine(arguments, "second")
    shrunk = second.take_all()
    dirty = second.each("count", shrunk)
    evicted = first.pool.stats().evicted_blocks
    print("second: {0} blocks, for which the first lost {1}; bytes that aren't zero: {2}".format(len(shrunk), evicted, dirty), flush=True)
    second.each("fill", shrunk, 0x5A)

    first.close()
    rest = second.take_all()
    dirty_rest = second.each("count", rest)
    print("second: {0} blocks more once the first had closed; bytes that aren't zero: {1}".format(len(rest), dirty_rest), flush=True)
    second.close()
    if dirty or dirty_rest or not shrunk or not rest or not evicted:
        print("memory that moved was not clean, or none moved", file=sys.stderr)
        return 1
    print("all that moved between the engines read as zeroes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
