"""Which images make each batch: a function of seed and epoch alone, so that a resumed run draws the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from maskstream.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Draw:
    """One image of a batch.

    Attributes
    ----------
    index : of the item; -1 - k is synthetic scene k.
    seed : of its augmentation; None leaves it as it is.
    partner : item whose objects may be pasted into it, or None.
    """

    index: int
    seed: int | None
    partner: int | None = None


class BatchDraws(Sampler[list[Draw]]):
    """The batches of an epoch.

    Rare labels are drawn more often (`DataRecipe.balance`) and synthetic scenes make up their share. With several
    processes each takes its slice of every batch, so that together they see what one process would.

    Parameters
    ----------
    labels : what each item shows, as names; an item counts as the rarest of its labels.
    shares : how often each item is seen in an epoch, on average and before balancing; 1 for all by default.
    rank, world : number of this process, and how many there are; `world` divides the batch size.

    Attributes
    ----------
    epoch, first_batch : where the next iteration begins; set by the loop.
    """

    def __init__(
        self,
        labels: Sequence[Sequence[str]],
        recipe: Recipe,
        *,
        shares: Sequence[float] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.recipe = recipe
        self.epoch = 0
        self.first_batch = 0
        self._rank, self._world = rank, world
        frequency = np.ones(len(labels)) if shares is None else np.asarray(shares, np.float64)
        counts = Counter(label for names in labels for label in (names or ("",)))
        rarest = np.array([min(counts[label] for label in (names or ("",))) for names in labels], np.float64)
        weights = frequency * rarest**-recipe.data.balance
        self._weights = weights / weights.sum()
        images_per_step = recipe.data.batch_size * recipe.data.accumulate
        self.steps: int = max(1, round(float(frequency.sum())) // images_per_step)

    def __len__(self) -> int:
        return self.steps * self.recipe.data.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        rng = np.random.default_rng([self.recipe.seed, self.epoch])
        batch_size = self.recipe.data.batch_size
        size = len(self) * batch_size
        chosen = _systematic(rng, self._weights, size)
        if (synthetic := self.recipe.synthetic) is not None:
            places = rng.random(size) < synthetic.share
            chosen = np.where(places, -1 - rng.integers(synthetic.scenes, size=size), chosen)
        seeds = rng.integers(2**62, size=size)
        partners = rng.integers(len(self._weights), size=size) if self.recipe.augmentation.copy_paste else None
        draws = [
            Draw(int(index), int(seed), None if partners is None else int(partners[place]))
            for place, (index, seed) in enumerate(zip(chosen, seeds, strict=True))
        ]
        share = batch_size // self._world
        for batch in range(self.first_batch, len(self)):
            start = batch * batch_size + self._rank * share
            yield draws[start : start + share]


def _systematic(rng: np.random.Generator, weights: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """`size` indices drawn in proportion to `weights`, shuffled, each as often as its weight asks to within one."""
    order = rng.permutation(len(weights))
    points = (np.arange(size) + rng.random()) / size
    drawn = np.searchsorted(np.cumsum(weights[order]), points).clip(max=len(weights) - 1)
    return rng.permutation(order[drawn])
