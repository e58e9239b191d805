"""Tensor parallelism over GPUs with PyTorch: one worker process per GPU writes, gathers and multiplies blocks of its arena.

Start a host per GPU first (see the README of the repository), then, with the UUIDs that nvidia-smi -L prints:
    python3 run_cuda.py --sockets HOST0/engine.sock HOST1/engine.sock --gpus GPU-... GPU-...
"""

import os
import sys

import kvcached_client as kvc
from run import HEAD_ELEMENTS, KV_HEADS, TOKENS, parse, run
from scheduler import GROUP


def worker(pipe, rank, arguments):
    os.environ["CUDA_VISIBLE_DEVICES"] = arguments.gpus[rank]  # before CUDA starts in this process
    import torch

    torch.cuda.set_device(0)
    if kvc.cuda_device_uuid(0).lower() != arguments.gpus[rank].lower():
        pipe.send("this process sees {0} instead of {1}".format(kvc.cuda_device_uuid(0), arguments.gpus[rank]))
        return
    heads = KV_HEADS // len(arguments.gpus)
    shape = (TOKENS, heads, HEAD_ELEMENTS)
    with kvc.Arena(arguments.sockets[rank], arguments.pool, rank, arguments.gpus[rank]) as arena:
        caches = {(t.layer, t.buffer): t.torch(torch.bfloat16, shape) for t in arena.tensors if t.group_name == GROUP}
        query = torch.randn(HEAD_ELEMENTS, 8, device="cuda", dtype=torch.bfloat16)
        pipe.send("attached on {0}, {1} tensors over {2} GiB of addresses".format(torch.cuda.get_device_name(), len(caches), arena.byte_count >> 30))
        while True:
            try:
                step, writes, sequences = pipe.recv()
            except EOFError:
                return
            mismatches, compared = do_step(torch, caches, rank, shape, query, writes, sequences)
            arena.step_done(step, torch.cuda.current_stream())  # recorded behind the kernels; nothing waits
            wrong = int(mismatches.item())
            pipe.send("rank {0}: {1} blocks differ".format(rank, wrong) if wrong else compared)


def content(torch, seed, rank, layer, buffer, shape):
    """What a block holds, from its number alone: computed on the GPU."""
    index = torch.arange(shape[0] * shape[1] * shape[2], device="cuda", dtype=torch.int64)
    mixed = (index * 2654435761 + seed * 40503 + rank * 977 + layer * 131 + buffer * 17) % 65521
    return (mixed.to(torch.float32) / 32760.0 - 1.0).to(torch.bfloat16).view(shape)


def do_step(torch, caches, rank, shape, query, writes, sequences):
    """Writes, attends, and compares with ordinary tensors: mismatching blocks (on the GPU) and blocks compared."""
    mismatches = torch.zeros((), device="cuda", dtype=torch.int64)
    compared = 0
    for (layer, buffer), cache in caches.items():
        for block, seed in writes:
            cache[block].copy_(content(torch, seed, rank, layer, buffer, shape))
    for (layer, buffer), cache in caches.items():
        for blocks, seeds in sequences:
            if not blocks:
                continue
            ours = cache.index_select(0, torch.tensor(blocks, device="cuda"))
            ordinary = torch.stack([content(torch, seed, rank, layer, buffer, shape) for seed in seeds])
            mismatches += (ours != ordinary).flatten(1).any(1).sum()
            mismatches += ((ours @ query) != (ordinary @ query)).flatten(1).any(1).sum()
            compared += len(blocks)
    return mismatches, compared


if __name__ == "__main__":
    sys.exit(run(parse(__doc__, "bfloat16"), worker))
