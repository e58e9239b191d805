"""Compares transformers' continuous batching on its own memory and on Kvcached's, token by token, on one GPU.

    equal.py --host DIR/Kvcached.Host [--json FILE]     with KVCACHED_LIBRARY set, and PyTorch and transformers installed
In float32: the engine as it is, twice, then on Kvcached with the same scheduler settings and visible blocks, then with far more virtual than physical
memory. In bfloat16: once each, and log probabilities are compared. Exit code 0 when all are equal.
"""

import argparse
import json
import os
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

from hosts import Host, first_gpu  # noqa: E402
from model import make_manager, make_model, make_prompts, run_once, summary_of  # noqa: E402

from kvcached_client.integrations import transformers as kvcached  # noqa: E402

LOGPROB_TOLERANCE = 0.05  # bfloat16 has 8 bits; values are about -10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="the program Kvcached.Host")
    parser.add_argument("--memory", default="12GiB", help="what the host lends")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=160, help="visible blocks of 256 tokens in the runs that are compared")
    parser.add_argument("--virtual-blocks", type=int, default=1024, help="visible blocks in the run with more virtual than physical memory")
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--timeout", type=float, default=60, help="seconds for each run")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    report = {"arguments": {name: value for name, value in vars(arguments).items() if name not in ("host", "json")}, "checks": {}}
    host = Host(arguments.host, first_gpu(), arguments.memory)
    try:
        Comparison(arguments, report, host).run()
    except Exception:
        report["checks"]["ran to the end"] = traceback.format_exc()
        print("host:\n" + host.log())
    finally:
        host.close()
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump(report, file, indent=2)
    failed = {name: said for name, said in report["checks"].items() if said != "passed"}
    print("{0} passed, {1} failed".format(len(report["checks"]) - len(failed), len(failed)))
    return 1 if failed else 0


class Comparison:
    def __init__(self, arguments, report, host):
        self.arguments, self.report, self.host = arguments, report, host
        self.prompts = make_prompts(arguments.prompts, 200, 2000)

    def run(self):
        import torch
        import transformers

        self.report["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__, "gpu": torch.cuda.get_device_name()}
        print(json.dumps(self.report["versions"]), flush=True)
        model = make_model(self.arguments.layers, self.arguments.hidden, "float32")
        first = self.take("float32, its own memory", model)
        second = self.take("float32, its own memory again", model)
        ours = self.take("float32, Kvcached", model, pool="f32")
        self.check("the engine by itself is equal to itself", first, second)
        self.check("token for token equal on Kvcached", first, ours)
        far = self.take("float32, Kvcached, far more virtual memory", model, pool="f32far", blocks=self.arguments.virtual_blocks)
        self.check("token for token equal with far more virtual memory", first, far)
        del model
        torch.cuda.empty_cache()
        model = make_model(self.arguments.layers, self.arguments.hidden, "bfloat16")
        first = self.take("bfloat16, its own memory", model, logprobs=True)
        ours = self.take("bfloat16, Kvcached", model, pool="bf16", logprobs=True)
        self.check_near("log probabilities in bfloat16 are near", first, ours)

    def take(self, name, model, pool=None, blocks=None, logprobs=False):
        """One run, on Kvcached when a pool is named."""
        import torch

        arguments = self.arguments
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if pool:
            kvcached.enable(kvcached.Settings(socket=self.host.socket, pool=pool))
        try:
            manager = make_manager(model, blocks or arguments.blocks, arguments.batch_tokens, arguments.new_tokens, logprobs)
            run = run_once(manager, self.prompts, arguments.new_tokens, arguments.timeout)
        finally:
            kvcached.disable()
        said = dict(summary_of(run, self.prompts), torch_peak_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2))
        if pool:
            said["pools_after"] = self.host.pools()
        self.report.setdefault("runs", {})[name] = said
        print("{0}: {1}".format(name, json.dumps(said)), flush=True)
        return run

    def check(self, name, one, other):
        differing = [i for i, (a, b) in enumerate(zip(one["tokens"], other["tokens"])) if a != b or a is None]
        problems = one["problems"] + other["problems"]
        text = "passed"
        if problems:
            text = "; ".join(problems)
        elif differing:
            i = differing[0]
            text = "{0} of {1} prompts differ, the first is {2}: {3} and {4}".format(len(differing), len(one["tokens"]), i, one["tokens"][i], other["tokens"][i])
        self.say(name, text)

    def check_near(self, name, one, other):
        """Up to the first token that differs: a near-tie may flip in bfloat16."""
        problems, largest, compared, flipped = one["problems"] + other["problems"], 0.0, 0, 0
        for a, b, la, lb in zip(one["tokens"], other["tokens"], one["logprobs"], other["logprobs"]):
            if a is None or b is None:
                continue
            same = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), len(a))
            flipped += same < len(a)
            for x, y in zip(la[:same], lb[:same]):
                largest, compared = max(largest, abs(x - y)), compared + 1
        self.report["bfloat16"] = {"largest_difference": largest, "compared": compared, "sequences_that_part": flipped, "tolerance": LOGPROB_TOLERANCE}
        print(json.dumps(self.report["bfloat16"]), flush=True)
        is_near = not problems and compared > 0 and largest <= LOGPROB_TOLERANCE
        self.say(name, "passed" if is_near else "; ".join(problems) or "largest difference {0} over {1} values".format(largest, compared))

    def say(self, name, text):
        self.report["checks"][name] = text
        print("{0}: {1}".format(name, text), flush=True)


if __name__ == "__main__":
    sys.exit(main())
