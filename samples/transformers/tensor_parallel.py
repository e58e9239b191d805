"""A model split over two GPUs: transformers' continuous batching on its own memory and on one pool of Kvcached, token by token.

    tensor_parallel.py --host DIR/Kvcached.Host [--json FILE]     with KVCACHED_LIBRARY set, two GPUs, and PyTorch and transformers installed
Each rank is a process. In float32: the engine on its own memory, then on Kvcached with ample memory, then with too little for all requests at once. Both ranks
must have the same blocks after each run, and the same pages mapped. Exit code 0 when all is so.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]

from hosts import Host  # noqa: E402
from model import make_manager, make_model, make_prompts, run_once, summary_of  # noqa: E402

RANKS = 2
RUNS = (("own", None), ("kvcached", {}), ("short", {"limit_bytes": 640 << 20, "grow_timeout": 0.1}))


def work(rank, arguments, sockets, folder, store, pipe, answered, looked):
    """Body of a rank's process: sends what came of each run, or why it ended."""
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(RANKS), MASTER_ADDR="127.0.0.1", NCCL_GRAPH_MIXING_SUPPORT="0", NCCL_NVLS_ENABLE="0")
        import torch
        import torch.distributed as dist

        torch.cuda.set_device(rank)
        dist.init_process_group("nccl", init_method="file://" + store, rank=rank, world_size=RANKS, device_id=torch.device("cuda", rank))
        from transformers import AutoModelForCausalLM

        from kvcached_client.integrations import transformers as kvcached

        # Weights come from files: a model is split only while it is loaded.
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa", tp_plan="auto").eval()
        model.set_attn_implementation("paged|sdpa")
        prompts = make_prompts(arguments.prompts, 200, 1500)
        for name, settings in RUNS:
            dist.barrier()
            if settings is not None:
                kvcached.enable(kvcached.Settings(socket=sockets, pool="tp-" + name, **settings))
            try:
                manager = make_manager(model, arguments.blocks, arguments.batch_tokens, arguments.new_tokens)
                held = {}

                def look_together():
                    """Rank 0 hears of the answers; both look at what they hold before either stops."""
                    if rank == 0:
                        answered[name].set()
                    held.update(look(kvcached.memory_of(manager)))
                    looked[name].wait(60)

                if rank == 0:
                    run = run_once(manager, prompts, arguments.new_tokens, arguments.timeout, before_stop=look_together)
                    said = {"tokens": run["tokens"], "problems": run["problems"], "summary": summary_of(run, prompts)}
                else:
                    said = follow(manager, answered[name], arguments.timeout + 30, look_together)
            finally:
                kvcached.disable()
            pipe.send((name, dict(said, held=held)))
        dist.destroy_process_group()
    except Exception:
        pipe.send(("failed", traceback.format_exc()))


def follow(manager, answered, seconds, before_stop):
    """What another rank than 0 does: it gets its requests from rank 0."""
    try:
        manager.warmup()
        manager.start()
        problems = [] if answered.wait(seconds) else ["rank 0 had no answers within {0} s".format(seconds)]
        before_stop()
    finally:
        manager.stop(block=True, timeout=60)
        if hasattr(manager, "destroy"):
            manager.destroy()
    return {"problems": problems}


def look(memory):
    """What a rank holds of its pool; empty on the engine's own memory."""
    if memory is None:
        return {}
    elastic, stats = memory.elastic, memory.arena.stats()
    return {
        "blocks_out": elastic.out, "blocks_in_use": elastic.in_use, "misses": elastic.misses, "losses": elastic.losses, "trash": memory.trash,
        "prepared_step": memory.clock.prepared, "mapped": {"pages": stats.pages, "extents": stats.extents, "bytes": stats.mapped_bytes},
    }


def save_model(arguments, folder, pipe):
    """Body of a process that makes the random model and writes it where the ranks load it from."""
    try:
        make_model(arguments.layers, arguments.hidden, "float32").to("cpu").save_pretrained(folder)
        pipe.send(("saved", None))
    except Exception:
        pipe.send(("failed", traceback.format_exc()))


def devices():
    import kvcached_client

    return [kvcached_client.cuda_device_uuid(index) for index in range(RANKS)]


def collect(pipe, process, seconds):
    """What a process sent, until it sent all runs or ended."""
    said = {}
    while len(said) < len(RUNS) and "failed" not in said:
        if not pipe.poll(seconds):
            said["failed"] = "nothing came for {0} s".format(seconds)
        else:
            try:
                name, answer = pipe.recv()
            except EOFError:
                name, answer = "failed", "the process ended with {0}".format(process.exitcode)
            said[name] = answer
    return said


def compare(said):
    """Checks by name: "passed", or what is wrong."""
    checks = {}
    for rank, one in enumerate(said):
        checks["rank {0} ran to the end".format(rank)] = one.get("failed", "passed")
    if any("failed" in one for one in said):
        return checks
    first, second = said
    for name, _ in RUNS:
        problems = first[name]["problems"] + second[name]["problems"]
        checks["{0}: no problems".format(name)] = "; ".join(problems) or "passed"
        expected = first["own"]["tokens"]
        differing = sum(a != b or a is None for a, b in zip(first[name]["tokens"], expected))
        checks["{0}: tokens equal those on its own memory".format(name)] = "passed" if not differing else "{0} of {1} prompts differ".format(differing, len(expected))
        # What is mapped is looked at a moment apart; the pool itself compares it by digests.
        other = second[name]["held"]
        differing = {key: (value, other.get(key)) for key, value in first[name]["held"].items() if value != other.get(key) and key != "mapped"}
        checks["{0}: both ranks hold the same blocks".format(name)] = "passed" if not differing else json.dumps(differing)
    checks["short: memory was short"] = "passed" if first["short"]["held"].get("misses") else "no request ever waited for memory"
    return checks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--memory", default="8GiB", help="what each host lends")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=24)
    parser.add_argument("--blocks", type=int, default=160, help="visible blocks of 256 tokens")
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--timeout", type=float, default=60, help="seconds for each run")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    hosts, processes, pipes = [], [], []
    report = {"benchmark": "transformers-tp", "arguments": {name: value for name, value in vars(arguments).items() if name not in ("host", "json")}}
    with tempfile.TemporaryDirectory(prefix="kvcached-model-") as folder:
        try:
            ours, theirs = context.Pipe()
            saver = context.Process(target=save_model, args=(arguments, folder, theirs))
            saver.start()
            kind, why = ours.recv() if ours.poll(180) else ("failed", "the model wasn't written within 180 s")
            saver.join(30)
            if kind == "failed":
                raise RuntimeError(why)
            for gpu in devices():
                hosts.append(Host(arguments.host, gpu, arguments.memory, first=hosts[0] if hosts else None, hosts=RANKS))
            sockets = hosts[0].socket.replace(devices()[0], "{device}")
            answered, looked = {name: context.Event() for name, _ in RUNS}, {name: context.Barrier(RANKS) for name, _ in RUNS}
            for rank in range(RANKS):
                pipe, theirs = context.Pipe()
                words = (rank, arguments, sockets, folder, os.path.join(folder, "store"), theirs, answered, looked)
                process = context.Process(target=work, args=words, name="rank-{0}".format(rank))
                process.start()
                theirs.close()
                pipes.append(pipe)
                processes.append(process)
            said = [collect(pipe, process, 150) for pipe, process in zip(pipes, processes)]
            report["checks"] = compare(said)
            report["runs"] = {name: {"rank_{0}".format(r): {k: v for k, v in one.get(name, {}).items() if k in ("summary", "held")} for r, one in enumerate(said)} for name, _ in RUNS}
        except Exception:
            report["checks"] = {"ran to the end": traceback.format_exc()}
        finally:
            for process in processes:
                process.join(30)
                if process.is_alive():
                    process.kill()
            if any(text != "passed" for text in report.get("checks", {"": ""}).values()):
                for host in hosts:
                    print("host:\n" + host.log(), flush=True)
            for host in reversed(hosts):
                host.close()
    for name, text in report["checks"].items():
        print("{0}: {1}".format(name, text), flush=True)
    print(json.dumps(report.get("runs", {})))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)
    failed = sum(text != "passed" for text in report["checks"].values())
    print("{0} passed, {1} failed".format(len(report["checks"]) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
