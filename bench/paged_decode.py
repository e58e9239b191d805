"""Paged decoding in Triton: one program for a sequence, a KV head and a part of its blocks. Needs Triton, which comes with PyTorch."""

import triton
import triton.language as tl


@triton.jit
def decode(query, keys, values, table, partial, weights, scale, block_stride, blocks_per_sequence: tl.constexpr, kv_heads: tl.constexpr,
           elements: tl.constexpr, tokens: tl.constexpr, group: tl.constexpr, splits: tl.constexpr, chunk: tl.constexpr):
    """Attention of ``group`` query heads over their KV head's keys and values, which lie in blocks ``block_stride`` elements apart.

    query: (sequences, kv_heads, group, elements). keys, values: (blocks, tokens, kv_heads, elements), dense but for the blocks. table: (sequences,
    blocks_per_sequence), int32. partial: (sequences, kv_heads, splits, 16, elements), what each part of the blocks sums up, and weights: (..., 16, 2), its highest score and
    its sum of weights, by which the parts are put together. ``chunk`` tokens are read at a time.
    """
    sequence, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    rows, lanes, element = tl.arange(0, 16), tl.arange(0, chunk), tl.arange(0, elements)
    of_query = ((sequence * kv_heads + head) * group + rows)[:, None] * elements + element[None, :]
    q = tl.load(query + of_query, mask=(rows < group)[:, None], other=0.0)
    highest = tl.full([16], -float("inf"), tl.float32)
    sums = tl.zeros([16], tl.float32)
    mixed = tl.zeros([16, elements], tl.float32)
    per_split: tl.constexpr = blocks_per_sequence * tokens // splits
    for first in range(0, per_split, chunk):
        position = split * per_split + first + lanes
        block = tl.load(table + sequence * blocks_per_sequence + position // tokens).to(tl.int64)
        row = block * block_stride + ((position % tokens) * kv_heads + head) * elements
        k = tl.load(keys + row[:, None] + element[None, :])
        v = tl.load(values + row[:, None] + element[None, :])
        scores = tl.dot(q, tl.trans(k)) * scale
        now = tl.maximum(highest, tl.max(scores, 1))
        weight = tl.exp(scores - now[:, None])
        fade = tl.exp(highest - now)
        sums = sums * fade + tl.sum(weight, 1)
        mixed = mixed * fade[:, None] + tl.dot(weight.to(tl.bfloat16), v)
        highest = now
    place = ((sequence * kv_heads + head) * splits + split) * 16 + rows
    tl.store(partial + place[:, None] * elements + element[None, :], mixed)
    tl.store(weights + place * 2, highest)
    tl.store(weights + place * 2 + 1, sums)
