"""A Llama of real shape with random weights, prompts, and one run of transformers' continuous batching over them."""

import random
import time

VOCABULARY = 32000
SEED = 20260301


def make_model(layers, hidden, dtype, seed=SEED):
    """A LlamaForCausalLM on the current GPU with paged SDPA attention; the same weights for the same seed."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=hidden * 7 // 2, num_hidden_layers=layers, num_attention_heads=hidden // 128,
        num_key_value_heads=max(1, hidden // 256), head_dim=128, max_position_embeddings=8192, bos_token_id=1, eos_token_id=2,
    )
    torch.manual_seed(seed)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype), attn_implementation="sdpa")
    model = model.to("cuda").eval()
    model.set_attn_implementation("paged|sdpa")  # asked for by name, so that no other kernels are looked for
    return model


def make_prompts(count, shortest, longest, seed=SEED):
    """Lists of token ids of evenly spread lengths, in random order."""
    source = random.Random(seed)
    lengths = [shortest + (longest - shortest) * i // max(1, count - 1) for i in range(count)]
    source.shuffle(lengths)
    return [[source.randrange(3, VOCABULARY) for _ in range(length)] for length in lengths]


def make_manager(model, blocks, batch_tokens, new_tokens, return_logprobs=False, sharing=True):
    """A manager that isn't started, and whose requests never end before ``new_tokens``."""
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    generation = GenerationConfig(max_new_tokens=new_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    batching = ContinuousBatchingConfig(
        block_size=256, num_blocks=blocks, max_batch_tokens=batch_tokens, return_logprobs=return_logprobs, allow_block_sharing=sharing
    )
    return model.init_continuous_batching(generation_config=generation, continuous_batching_config=batching)


def run_once(manager, prompts, new_tokens, timeout, before_stop=lambda: None):
    """All prompts at once, handed over before the engine starts, so that two runs make the same batches. Stops the manager.

    ``before_stop`` is called once all is answered. Gives tokens and log probabilities by prompt, seconds, and the time to each prompt's first token;
    ``problems`` is empty when all went well.
    """
    problems = []
    try:
        manager.warmup()
        ids = manager.add_requests(prompts, max_new_tokens=new_tokens, record_timestamps=True)
        started = time.perf_counter()
        manager.start()
        results, deadline = {}, started + timeout
        while len(results) < len(ids) and time.perf_counter() < deadline:
            answer = manager.get_result(timeout=1)
            if answer is not None and (answer.is_finished() or answer.error):
                results[answer.request_id] = answer
            elif answer is None and not manager.is_running():
                problems.append("the engine's thread ended by itself: {0!r}".format(getattr(manager, "fatal_error", None)))
                break
        seconds = time.perf_counter() - started
        before_stop()
    finally:
        manager.stop(block=True, timeout=60)
        if hasattr(manager, "destroy"):
            manager.destroy()
    missing = [name for name in ids if name not in results]
    problems += ["{0} of {1} requests got no answer in {2} s".format(len(missing), len(ids), timeout)] if missing else []
    problems += ["{0}: {1}".format(name, answer.error) for name, answer in results.items() if answer.error][:3]
    firsts = [answer.timestamps[0] - started for answer in results.values() if answer.timestamps]
    return {
        "tokens": [list(results[name].generated_tokens) if name in results else None for name in ids],
        "logprobs": [list(results[name].logprobs or ()) if name in results else None for name in ids],
        "seconds": seconds,
        "first_token_seconds": sorted(firsts),
        "problems": problems,
    }


def summary_of(run, prompts):
    """Rates and times of a run: tokens per second, and seconds."""
    firsts = run["first_token_seconds"]
    generated = sum(len(tokens or ()) for tokens in run["tokens"])
    return {
        "seconds": round(run["seconds"], 3),
        "prompt_tokens": sum(map(len, prompts)),
        "generated_tokens": generated,
        "tokens_per_second": round((generated + sum(map(len, prompts))) / run["seconds"], 1),
        "ttft_mean_seconds": round(sum(firsts) / len(firsts), 4) if firsts else None,
        "ttft_p99_seconds": round(firsts[min(len(firsts) - 1, len(firsts) * 99 // 100)], 4) if firsts else None,
        "problems": run["problems"],
    }
