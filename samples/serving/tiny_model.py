"""A tiny transformer over bytes, in NumPy: real attention over paged KV blocks, weights from the model's name, no chance, and so the same every time.

Tokens are computed one by one, each with arrays whose shapes depend on its own sequence only. So an answer doesn't depend on what else is in the batch, on whether
a prefix came from the cache, or on whether the sequence was preempted and computed again: a wrong byte in a block changes it.
"""

import hashlib
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: sums in one order

import numpy  # noqa: E402

LAYERS, HEADS, HEAD_ELEMENTS, WIDTH = 2, 4, 128, 128
SHARPNESS = numpy.float32(4)  # of attention: with random weights it would be nearly even, and every answer much the same
GAIN = numpy.float32(4)  # of what it finds, over what the token itself says
TASTES = 251
END = 256
VOCABULARY = 257
_PRINTABLE = numpy.array([32 <= token < 127 or token == END for token in range(VOCABULARY)])


class TinyModel:
    """Weights, and one token's way through them."""

    def __init__(self, name):
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        random = numpy.random.default_rng(seed)

        def matrix(rows, columns):
            return random.standard_normal((rows, columns), dtype=numpy.float32) / numpy.float32(rows**0.5)

        inner = HEADS * HEAD_ELEMENTS
        self.embedding = random.standard_normal((VOCABULARY, WIDTH), dtype=numpy.float32)
        self.head = matrix(WIDTH, VOCABULARY)
        self.taste = random.standard_normal((TASTES, VOCABULARY), dtype=numpy.float32)
        self.layers = [
            {"q": matrix(WIDTH, inner), "k": matrix(WIDTH, inner), "v": matrix(WIDTH, inner), "o": matrix(inner, WIDTH), "up": matrix(WIDTH, 2 * WIDTH), "down": matrix(2 * WIDTH, WIDTH)}
            for _ in range(LAYERS)
        ]

    def forward(self, token, position, caches, blocks, tokens_per_block):
        """Computes a token, writes its keys and values to their place, and returns its last hidden state.

        :param caches: Per layer keys and values, each (blocks, tokens of a block, heads, elements).
        :param blocks: The sequence's blocks, in order; the token's own is among them.
        """
        x = self.embedding[token] + _position(position)
        block, slot = blocks[position // tokens_per_block], position % tokens_per_block
        table = numpy.array(blocks[: position // tokens_per_block + 1])
        for weights, (keys, values) in zip(self.layers, caches):
            h = _normal(x)
            keys[block, slot] = (h @ weights["k"]).reshape(HEADS, HEAD_ELEMENTS)
            values[block, slot] = (h @ weights["v"]).reshape(HEADS, HEAD_ELEMENTS)
            x = x + GAIN * (self._attend(h @ weights["q"], keys[table], values[table], position + 1) @ weights["o"])
            x = x + numpy.maximum(_normal(x) @ weights["up"], 0) @ weights["down"]
        return _normal(x)

    def next_token(self, hidden, position):
        """The likeliest printable byte, or END; what is likely differs a little from place to place, or the same byte would follow itself without end."""
        return int(numpy.argmax(numpy.where(_PRINTABLE, hidden @ self.head + self.taste[position % TASTES], -numpy.inf)))

    @staticmethod
    def _attend(query, keys, values, length):
        keys = keys.reshape(-1, HEADS, HEAD_ELEMENTS)[:length]
        values = values.reshape(-1, HEADS, HEAD_ELEMENTS)[:length]
        scores = numpy.einsum("he,the->ht", query.reshape(HEADS, HEAD_ELEMENTS), keys) * (SHARPNESS / numpy.float32(HEAD_ELEMENTS**0.5))
        scores = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return numpy.einsum("ht,the->he", scores, values).reshape(-1)


def _normal(x):
    return x / numpy.sqrt((x * x).mean() + numpy.float32(1e-6))


def _position(position):
    angle = position / 10000.0 ** (numpy.arange(WIDTH // 2, dtype=numpy.float32) / (WIDTH // 2))
    return numpy.concatenate([numpy.sin(angle), numpy.cos(angle)]).astype(numpy.float32)
