"""Prints what equal.py, take_turns.py, three_models.py and tensor_parallel.py measured as Markdown tables: tables.py RESULT.json ..."""

import json
import sys


def rows(head, lines):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines])


def equal(said):
    """Runs of the same prompts on the engine's own memory and on a pool."""
    lines = [
        (name, run["seconds"], round(run["tokens_per_second"]), run["ttft_mean_seconds"], run["ttft_p99_seconds"], run["torch_peak_gib"]) for name, run in said["runs"].items()
    ]
    table = rows(("run", "seconds", "tokens/s", "first token, mean s", "p99 s", "PyTorch's own peak, GiB"), lines)
    return table + "\n\n" + rows(("check", ""), said["checks"].items())


def turns(said):
    """Engines that take nearly all of the memory one after the other."""
    lent = said["lent_bytes"]
    names = sorted(said["turns"][0]["peaks"])
    lines = [
        (number + 1, turn["engine"], *("{0:.1%}".format(turn["peaks"].get(name, 0) / lent) for name in names), turn["state"]["misses"], turn["state"]["kept_blocks_lost"])
        for number, turn in enumerate(said["turns"])
    ]
    return rows(("turn", "at work", *("peak of " + name for name in names), "refusals", "cached blocks lost so far"), lines)


def three(said):
    """Three engines with peaks one after the other, fixed shares against elastic memory, by request rate."""
    lines = []
    for fixed, elastic in zip(*(said[way]["rates"] for way in ("fixed", "elastic"))):
        lines += [
            (fixed["rate"], fixed["requests"], way, one["ttft_seconds"]["all"]["mean"], one["ttft_seconds"]["all"]["p99"], one["latency_seconds"]["mean"], one["unanswered"])
            for way, one in (("fixed", fixed), ("elastic", elastic))
            if one["latency_seconds"]
        ]
    return rows(("requests/s at the peak", "requests", "memory", "first token, mean s", "p99 s", "whole answer, mean s", "unanswered"), lines)


def tensor_parallel(said):
    """A model split over two GPUs."""
    lines = [(name, *(ranks["rank_0"]["summary"][key] for key in ("seconds", "tokens_per_second", "ttft_mean_seconds", "ttft_p99_seconds"))) for name, ranks in said["runs"].items()]
    return rows(("run", "seconds", "tokens/s", "first token, mean s", "p99 s"), lines) + "\n\n" + rows(("check", ""), said["checks"].items())


def table_of(said):
    """The table of one file's content."""
    if "lent_bytes" in said:
        return turns(said)
    return {"three-models": three, "transformers-tp": tensor_parallel}.get(said.get("benchmark"), equal)(said)


def main(paths):
    if not paths:
        print(__doc__)
        return 2
    for path in paths:
        with open(path) as file:
            print("{0}\n\n{1}\n".format(path, table_of(json.load(file))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
