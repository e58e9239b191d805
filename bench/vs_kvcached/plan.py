"""Sizes and counts of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List

BLOCKS_PER_PAGE = 128
#: Page ids above those of the block allocators, for the rows that map and unmap by themselves.
SPARE_PAGES = 40


@dataclass(frozen=True)
class Plan:
    """:ivar gpus: UUIDs, or HOST-n. :ivar rounds: Times that the two systems take turns in each row."""

    gpus: List[str]
    is_on_gpu: bool
    layers: int
    page_bytes: int
    peak_pages: int
    operations: int
    rounds: int
    times: int
    decay_seconds: float
    kept_decay_seconds: float
    waves: int = 2
    per_step: int = 20
    step_seconds: float = 0.004
    live_blocks: int = 1000

    @property
    def ranks(self) -> int:
        return len(self.gpus)

    @property
    def block_bytes(self) -> int:
        return self.page_bytes // BLOCKS_PER_PAGE

    @property
    def bytes_per_page(self) -> int:
        """Bytes that a page id takes on a rank."""
        return self.page_bytes * self.layers * 2

    @property
    def peak_blocks(self) -> int:
        """Most live blocks of the trace: a tenth of the pages is left for blocks that lie scattered."""
        return self.peak_pages * BLOCKS_PER_PAGE * 9 // 10

    def our_pools(self) -> List[Dict[str, Any]]:
        """Page rows with growth asked for; block rows with growth ahead, not further than a tenth of a second: what is held ahead counts against us."""
        asked = {"grow_ahead": False, "warm_decay": None, "null_block": False}
        shape = {"layers": self.layers, "page_bytes": self.page_bytes, "block_bytes": self.block_bytes}
        return [
            dict(shape, name="vs-pages", layout="contiguous", virtual_pages=SPARE_PAGES, options=asked),
            dict(shape, name="vs-layers", layout="per_layer", virtual_pages=SPARE_PAGES, options=asked),
            dict(shape, name="vs-blocks", layout="contiguous", virtual_pages=self.peak_pages * 2, options={"warm_decay": self.decay_seconds, "growth_horizon": 0.1}),
        ]

    def facts(self) -> Dict[str, Any]:
        return {
            "ranks": self.ranks, "layers": self.layers, "buffers": 2, "pageBytes": self.page_bytes, "blockBytes": self.block_bytes,
            "bytesPerPageId": self.bytes_per_page, "peakPageIds": self.peak_pages, "traceOperations": self.operations, "traceWaves": self.waves,
            "traceStepSeconds": self.step_seconds, "traceOperationsPerStep": self.per_step, "rounds": self.rounds, "timesPerRound": self.times,
            "decaySeconds": self.decay_seconds, "keptDecaySeconds": self.kept_decay_seconds, "liveBlocksAfterPeak": self.live_blocks,
        }
