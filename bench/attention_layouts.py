"""What a layout costs attention: decoding over blocks in our memory, mapped page by page, against the same over ordinary tensors.

    PYTHONPATH=python python3 bench/attention_layouts.py --host Kvcached.Host --library libkvcached.so [--json FILE]

Llama-3.1-8B's shape (32 layers, 32 heads over 8 KV heads of 128 elements, 16 tokens a block) in bfloat16; 16 sequences of 4096 tokens: 8 GiB of keys and values, in
ordinary tensors and in a pool of each layout. Two readers: a paged-attention kernel (Triton) that follows block tables, and PyTorch's own attention over
gathered blocks. Block tables are in order, and at random. Every result is compared with that over ordinary tensors, bit by bit. One GPU, under a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import Any, Callable, Dict, List, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "python"), HERE]

LAYERS, HEADS, KV_HEADS, ELEMENTS, TOKENS = 32, 32, 8, 128, 16
SEQUENCES, SEQUENCE_TOKENS, SPLITS = 16, 4096, 8
BLOCKS_PER_SEQUENCE = SEQUENCE_TOKENS // TOKENS
LAYOUTS = {"contiguous": 0, "grouped": 8, "per_layer": 0}


def open_layouts(socket: str, gpu: str) -> Tuple[Dict[str, Any], List[Any]]:
    """A pool of each layout with all blocks in use: per layout its keys and values by layer, and its blocks; and what is to be closed, last first."""
    import torch

    import kvcached_client as kvc

    session = kvc.Session(socket, "attention-layouts")
    found: Dict[str, Any] = {}
    kept: List[Any] = [session]
    count = SEQUENCES * BLOCKS_PER_SEQUENCE
    for layout, layers_per_mapping in LAYOUTS.items():
        group = kvc.multi_head("full", layers=LAYERS, kv_heads=KV_HEADS, head_elements=ELEMENTS, tokens_per_block=TOKENS, virtual_bytes=12 << 30)
        name = "attention-" + layout.replace("_", "-")
        spec = kvc.PoolSpec(name, [group], [gpu], layout=layout, layers_per_mapping=layers_per_mapping)
        pool = session.open_pool(spec, kvc.PoolOptions(grow_ahead=False, warm_decay=None, null_block=False))
        arena = kvc.Arena(socket, name, 0, gpu)
        pool.grow(0, -(-count * group.block_bytes // group.page_bytes), timeout=30)
        blocks = pool.alloc(0, count)
        shape = (TOKENS, KV_HEADS, ELEMENTS)
        tensors = [[arena.tensor(0, layer, buffer).torch(torch.bfloat16, shape) for layer in range(LAYERS)] for buffer in range(2)]
        found[layout] = (tensors[0], tensors[1], sorted(blocks))
        kept += [pool, arena]
    return found, kept


def paged(kernel: Any, query: Any, keys: List[Any], values: List[Any], table: Any, room: Any) -> Any:
    """All layers one after the other. Returns the last layer's attention, (sequences, KV heads, query heads of each, elements)."""
    import torch

    partial, weights = room
    for layer in range(LAYERS):
        kernel[(SEQUENCES, KV_HEADS, SPLITS)](
            query, keys[layer], values[layer], table, partial, weights, ELEMENTS**-0.5, keys[layer].stride(0), BLOCKS_PER_SEQUENCE, KV_HEADS, ELEMENTS,
            TOKENS, HEADS // KV_HEADS, SPLITS, 64,
        )
    highest, sums = weights[..., 0], weights[..., 1]
    share = torch.exp(highest - highest.amax(2, keepdim=True))
    return ((partial * share[..., None]).sum(2) / (sums * share).sum(2)[..., None])[:, :, : HEADS // KV_HEADS]


def gathered(query: Any, keys: List[Any], values: List[Any], table: Any) -> Any:
    """PyTorch's attention over the blocks of each sequence, gathered first: in every fourth layer, since it writes what it reads."""
    import torch.nn.functional as functional

    found = None
    for layer in range(0, LAYERS, 4):
        k, v = (
            side[layer].index_select(0, table.view(-1)).view(SEQUENCES, SEQUENCE_TOKENS, KV_HEADS, ELEMENTS).transpose(1, 2) for side in (keys, values)
        )
        found = functional.scaled_dot_product_attention(query, k, v)  # the query heads of a KV head are its rows
    return found


def measure(places: Dict[str, Any], read: Callable[[str, Any], Any], times: int) -> Dict[str, List[float]]:
    """Milliseconds of each place, which take turns."""
    import torch

    names = list(places)
    for name in names:
        read(name, places[name])
    torch.cuda.synchronize()
    took: Dict[str, List[float]] = {name: [] for name in names}
    for turn in range(times):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            before.record()
            read(name, places[name])
            after.record()
            after.synchronize()
            took[name].append(before.elapsed_time(after))
    return took


def compare(found: Dict[str, Any], times: int) -> List[Dict[str, Any]]:
    """Fills all places with the same content, and reads them in both ways and both orders."""
    import torch
    from paged_decode import decode

    torch.manual_seed(1)
    count = SEQUENCES * BLOCKS_PER_SEQUENCE
    shape = (count, TOKENS, KV_HEADS, ELEMENTS)
    sides = [[torch.randn(shape, device="cuda", dtype=torch.bfloat16) for _ in range(LAYERS)] for _ in range(2)]
    places: Dict[str, Any] = {"ordinary": (sides[0], sides[1], list(range(count)))}
    places.update(found)
    for name, (keys, values, blocks) in found.items():
        where = torch.tensor(blocks, device="cuda")
        for layer in range(LAYERS):
            keys[layer].index_copy_(0, where, sides[0][layer])
            values[layer].index_copy_(0, where, sides[1][layer])
    query = torch.randn((SEQUENCES, KV_HEADS, HEADS // KV_HEADS, ELEMENTS), device="cuda", dtype=torch.bfloat16)
    room = (
        torch.empty((SEQUENCES, KV_HEADS, SPLITS, 16, ELEMENTS), device="cuda", dtype=torch.float32),
        torch.empty((SEQUENCES, KV_HEADS, SPLITS, 16, 2), device="cuda", dtype=torch.float32),
    )
    rows: List[Dict[str, Any]] = []
    for order in ("in order", "at random"):
        chosen = torch.arange(count) if order == "in order" else torch.randperm(count)
        tables = {
            name: torch.tensor(place[2])[chosen].to("cuda").to(torch.int32).view(SEQUENCES, BLOCKS_PER_SEQUENCE) for name, place in places.items()
        }
        readers = {
            "paged attention": lambda name, place: paged(decode, query, place[0], place[1], tables[name], room),
            "SDPA over gathered blocks": lambda name, place: gathered(query, place[0], place[1], tables[name]),
        }
        for reader, read in readers.items():
            wanted = read("ordinary", places["ordinary"]).clone()
            equal = {name: bool(torch.equal(read(name, place), wanted)) for name, place in places.items()}
            took = measure(places, read, times)
            base = statistics.median(took["ordinary"])
            for name in places:
                median = statistics.median(took[name])
                rows.append({
                    "reader": reader, "order": order, "layout": name, "milliseconds": round(median, 4), "slowdown": round(median / base, 4),
                    "fastest": round(min(took[name]), 4), "slowest": round(max(took[name]), 4), "equal": equal[name],
                    "blockStrideBytes": places[name][0][0].stride(0) * 2,
                })
                print("{reader:<28}{order:<12}{layout:<12}{milliseconds:>9.3f} ms  {slowdown:>6.3f}  {0}".format(
                    "equal" if equal[name] else "DIFFERENT", **rows[-1]), flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, metavar="PROGRAM", help="the published Kvcached.Host")
    parser.add_argument("--library", default=os.environ.get("KVCACHED_LIBRARY"), metavar="PATH", help="libkvcached.so; default: KVCACHED_LIBRARY")
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.library or not os.path.isfile(arguments.library):
        parser.error("--library names no file: {0}".format(arguments.library))
    os.environ["KVCACHED_LIBRARY"] = os.path.abspath(arguments.library)
    from vs_kvcached.ours import Hosts

    said = subprocess.run(["nvidia-smi", "--query-gpu=uuid,name,driver_version", "--format=csv,noheader"], stdout=subprocess.PIPE, timeout=60, check=True)
    gpu, card, driver = (part.strip() for part in said.stdout.decode().splitlines()[0].split(","))
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA starts here
    folder = tempfile.mkdtemp(prefix="kvcached-attention-")
    hosts = Hosts(os.path.abspath(arguments.host), [gpu], "cuda", "40GiB", folder)
    try:
        found, kept = open_layouts(hosts.sockets[0], gpu)
        rows = compare(found, arguments.times)
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump({"benchmark": "attention-layouts", "card": card, "driver": driver, "results": rows}, file, indent=2)
                file.write("\n")
        for opened in reversed(kept):
            opened.close()
        return 0 if all(row["equal"] for row in rows) else 1
    finally:
        hosts.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
