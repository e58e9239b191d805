"""Tensor parallelism over two ranks in main memory, with NumPy; needs no GPU.

Start two hosts first, each in a terminal of its own (see the README of the repository), then:
    python3 run_host.py --sockets HOST0/engine.sock HOST1/engine.sock
"""

import sys

import numpy

import kvcached_client as kvc
from run import HEAD_ELEMENTS, KV_HEADS, TOKENS, parse, run
from scheduler import GROUP


def content(seed, rank, layer, buffer, shape):
    """What a block holds, from its number alone."""
    return numpy.random.default_rng((seed, rank, layer, buffer)).standard_normal(shape, dtype=numpy.float32)


def worker(pipe, rank, arguments):
    heads = KV_HEADS // len(arguments.gpus)
    shape = (TOKENS, heads, HEAD_ELEMENTS)
    with kvc.Arena(arguments.sockets[rank], arguments.pool, rank, arguments.gpus[rank]) as arena:
        caches = {(t.layer, t.buffer): t.numpy("float32", shape) for t in arena.tensors if t.group_name == GROUP}
        pipe.send("attached, {0} tensors over {1} GiB of addresses".format(len(caches), arena.byte_count >> 30))
        while True:
            try:
                step, writes, sequences = pipe.recv()
            except EOFError:
                return
            pipe.send(do_step(caches, rank, shape, writes, sequences))
            arena.step_done(step)


def do_step(caches, rank, shape, writes, sequences):
    """Writes, attends, and compares with ordinary arrays. The number of blocks compared, or what is wrong."""
    compared = 0
    query = numpy.ones(HEAD_ELEMENTS, dtype=numpy.float32)
    for (layer, buffer), cache in caches.items():
        for block, seed in writes:
            cache[block] = content(seed, rank, layer, buffer, shape)
    for (layer, buffer), cache in caches.items():
        for blocks, seeds in sequences:
            if not blocks:
                continue
            ours = cache[blocks]
            ordinary = numpy.stack([content(seed, rank, layer, buffer, shape) for seed in seeds])
            if not numpy.array_equal(ours, ordinary) or not numpy.array_equal(ours @ query, ordinary @ query):
                wrong = [b for b, a, o in zip(blocks, ours, ordinary) if not numpy.array_equal(a, o)]
                return "rank {0}, layer {1}, buffer {2}: blocks {3} differ".format(rank, layer, buffer, wrong)
            compared += len(blocks)
    return compared


if __name__ == "__main__":
    sys.exit(run(parse(__doc__, "float32"), worker))
