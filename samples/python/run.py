"""One scheduler process and a worker process per rank; used by run_host.py and run_cuda.py."""

import argparse
import multiprocessing
import sys

import kvcached_client as kvc
from scheduler import GROUP, Scheduler

LAYERS, KV_HEADS, HEAD_ELEMENTS, TOKENS = 4, 8, 64, 16


def parse(description, dtype):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--sockets", nargs="+", required=True, metavar="PATH", help="engine socket of each rank's host, in the order of ranks")
    parser.add_argument("--gpus", nargs="+", metavar="ID", help="GPU of each rank: its UUID, or HOST-n; default: HOST-0, HOST-1, ...")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16, help="sequences at a time")
    parser.add_argument("--limit-mib", type=int, default=0, help="most MiB of the pool on each GPU; 0 = all that it lends")
    parser.add_argument("--pool", default="sample", help="name of the pool")
    arguments = parser.parse_args()
    arguments.gpus = arguments.gpus or ["HOST-{0}".format(i) for i in range(len(arguments.sockets))]
    arguments.dtype = dtype
    if len(arguments.gpus) != len(arguments.sockets):
        parser.error("each rank needs one socket and one GPU")
    return arguments


def make_spec(arguments):
    """The pool: every rank holds its share of the heads of every layer."""
    ranks = len(arguments.gpus)
    group = kvc.multi_head(
        GROUP, layers=LAYERS, kv_heads=KV_HEADS, head_elements=HEAD_ELEMENTS, tokens_per_block=TOKENS, dtype=arguments.dtype,
        tensor_parallel=ranks, virtual_bytes=8 << 30,
    )
    return kvc.PoolSpec(arguments.pool, [group], arguments.gpus, limit_bytes=arguments.limit_mib << 20)


def run(arguments, worker):
    """Starts the processes, plays all steps, and returns the exit code.

    :param worker: ``worker(pipe, rank, arguments)``, which runs in a process of its own.
    """
    context = multiprocessing.get_context("spawn")  # not fork: this process starts the library itself
    pipes, processes = [], []
    for rank in range(len(arguments.gpus)):
        ours, theirs = context.Pipe()
        process = context.Process(target=worker, args=(theirs, rank, arguments), name="worker-{0}".format(rank))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        return play(arguments, pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(30)
            if process.is_alive():
                process.terminate()


def play(arguments, pipes):
    with kvc.Session(arguments.sockets[0], "python-sample") as session:
        with session.open_pool(make_spec(arguments)) as pool:
            for rank, pipe in enumerate(pipes):
                print("rank {0}: {1}".format(rank, pipe.recv()), flush=True)
            scheduler = Scheduler(pool)
            checked = 0
            for _ in range(arguments.steps):
                plan = scheduler.plan(arguments.batch)
                for pipe in pipes:
                    pipe.send(plan)
                scheduler.finish()  # while the workers are at it: the step's number protects what they read
                for pipe in pipes:
                    answer = pipe.recv()
                    if isinstance(answer, str):
                        print("a worker found something wrong in step {0}: {1}".format(scheduler.step, answer), file=sys.stderr)
                        return 1
                    checked += answer
            stats = pool.stats()
            scheduler.drain()
            print(
                "{0} steps, {1} sequences: {2} blocks written, {3} taken from the cache, {4} sequences preempted".format(
                    scheduler.step, scheduler.finished, scheduler.written, scheduler.reused, scheduler.preempted
                )
            )
            print(
                "pool: {0.mapped_pages} pages mapped, {0.grants} grants, {0.refusals} refusals, {0.evicted_blocks} blocks evicted, "
                "{0.revoked_extents} extents revoked".format(stats)
            )
            print("{0} blocks compared with ordinary tensors on {1} ranks: all equal".format(checked, len(pipes)))
    return 0
