"""Which slots of SGLang's KV buffers a block of the pool backs. Plain arithmetic, without PyTorch.

SGLang finds slot s of a layer at row s of a buffer that lies in one piece, with keys and values in buffers of their own. So each buffer is one stretch of the
arena (layout ``per_layer``), and block n of the pool, here called a piece, backs the same rows of all of them. A piece is one page: SGLang's allocator hands out
the slots in it by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any, List, Sequence

from ...geometry import MIB, Group
from ..elastic_blocks import GROUP
from ..errors import IntegrationError

_UNIT_BYTES = 2 * MIB
_MOST_PIECE_BYTES = 64 * MIB


@dataclass(frozen=True)
class Pieces:
    """Sizes of a model's KV buffers on one rank.

    :ivar layers: Layers.
    :ivar token_bytes: Bytes of a token in one buffer.
    :ivar page_size: SGLang's page: tokens that it allocates together.
    :ivar tokens: Rows of each buffer.
    """

    layers: int
    token_bytes: int
    page_size: int
    tokens: int

    @property
    def piece_bytes(self) -> int:
        """Bytes of a piece in one buffer: the fewest that hold whole pages of SGLang and are whole 2 MiB.

        :raises IntegrationError: That would be unreasonably many.
        """
        page_bytes = self.token_bytes * self.page_size
        piece_bytes = page_bytes * _UNIT_BYTES // gcd(page_bytes, _UNIT_BYTES)
        if piece_bytes > _MOST_PIECE_BYTES:
            raise IntegrationError(
                "pages of {0} tokens of {1} bytes fill whole {2} MiB only by {3} MiB; choose another --page-size, such as 64.".format(
                    self.page_size, self.token_bytes, _UNIT_BYTES // MIB, piece_bytes // MIB
                )
            )
        return piece_bytes

    @property
    def tokens_per_piece(self) -> int:
        return self.piece_bytes // self.token_bytes

    @property
    def pages_per_piece(self) -> int:
        return self.tokens_per_piece // self.page_size

    @property
    def count(self) -> int:
        """Pieces of each buffer."""
        return -(-self.tokens // self.tokens_per_piece)

    def group(self) -> Group:
        """The pool's KV group."""
        return Group(GROUP, "multi_head", self.tokens_per_piece, self.layers, 2, self.piece_bytes, self.piece_bytes, self.count)

    def page_ids(self, piece: int, last_page: int) -> range:
        """SGLang's numbers of the pages in a piece, from 1 (page 0 takes its padding) to the last that there is."""
        first = piece * self.pages_per_piece
        return range(max(1, first), min(last_page + 1, first + self.pages_per_piece))


def pieces_of(descriptions: Sequence[Any], item_bytes: int, page_size: int) -> Pieces:
    """Sizes from SGLang's descriptions of its buffers: keys of all layers, then values.

    :raises IntegrationError: Buffers differ, or a row isn't a token's or a page's.
    """
    rows: List[Any] = sorted({(one.row_bytes, one.tokens_per_row, one.reserved_span_bytes(item_bytes)) for one in descriptions})
    if len(rows) != 1 or len(descriptions) % 2:
        raise IntegrationError("the model's {0} KV buffers differ in their rows ({1}); leave kvcached off for it.".format(len(descriptions), rows))
    row_bytes, tokens_per_row, span_bytes = rows[0]
    if row_bytes % tokens_per_row or span_bytes % row_bytes or tokens_per_row not in (1, page_size):
        raise IntegrationError("rows of {0} bytes for {1} tokens aren't served with pages of {2}; leave kvcached off.".format(row_bytes, tokens_per_row, page_size))
    return Pieces(len(descriptions) // 2, row_bytes // tokens_per_row, page_size, span_bytes // row_bytes * tokens_per_row)
