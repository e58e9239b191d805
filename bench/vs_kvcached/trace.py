"""The load that both systems get: pieces of 1 to 16 blocks come, and go in random order, while the number of live blocks rises and falls.

Pure: the same arguments give the same operations everywhere.
"""

from __future__ import annotations

import random
from typing import List, Sequence, Tuple

#: Blocks to take, or minus the index of the piece to free less one.
Operation = int


def operations(count: int, peak_blocks: int, waves: int, low_share: float = 0.1, largest_piece: int = 16, seed: int = 1) -> List[Operation]:
    """``count`` operations that raise and lower the live blocks ``waves`` times between a share of the peak and the peak.

    A positive number takes so many blocks; the n-th such operation makes piece n, from 0. ``-1 - n`` frees piece n.
    """
    if count < 1 or waves < 1 or peak_blocks < largest_piece or not 0 <= low_share < 1:
        raise ValueError("a trace needs operations, waves, a peak of at least one piece, and a low below its peak")
    chance = random.Random(seed)
    made: List[Operation] = []
    alive: List[int] = []
    sizes: List[int] = []
    live = 0
    for index in range(count):
        wanted = wanted_blocks(index / count, peak_blocks, waves, low_share)
        if live < wanted or not alive:
            piece = chance.randint(1, largest_piece)
            if live + piece > peak_blocks:
                piece = 0
        else:
            piece = 0
        if piece:
            alive.append(len(sizes))
            sizes.append(piece)
            live += piece
            made.append(piece)
        else:
            place = chance.randrange(len(alive))
            gone = alive[place]
            alive[place] = alive[-1]
            alive.pop()
            live -= sizes[gone]
            made.append(-1 - gone)
    return made


def wanted_blocks(progress: float, peak_blocks: int, waves: int, low_share: float) -> float:
    """Live blocks that the trace heads for: straight up to the peak and down again in each wave."""
    phase = (progress * waves) % 1.0
    height = phase * 2 if phase < 0.5 else 2 - phase * 2
    return peak_blocks * (low_share + (1 - low_share) * height)


def live_after(made: Sequence[Operation]) -> List[int]:
    """Live blocks after each operation."""
    sizes: List[int] = []
    live, found = 0, []
    for operation in made:
        if operation > 0:
            sizes.append(operation)
            live += operation
        else:
            live -= sizes[-1 - operation]
        found.append(live)
    return found


def scattered(blocks: Sequence[int], keep: int, seed: int = 2) -> Tuple[List[int], List[int]]:
    """Splits blocks into those that stay, chosen at random, and those that go, in random order."""
    shuffled = list(blocks)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:keep], shuffled[keep:]
