"""The networks of a table: numbers beside embeddings, then MLPs as other tasks have them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDEST = 32


def embedding_width(num_ids: int) -> int:
    """Return how many numbers stand for one of so many ids: min(32, round(1.6 n^0.56)).

    Source: the rule of fastai's tabular learner, which allows 600.
    """
    width = 1.6 * math.pow(num_ids, 0.56)
    return min(WIDEST, round(width))


class Embedded(nn.Module):
    """Turns a row of numbers and ids into features: the numbers, and an embedding of each id."""

    def __init__(self, num_numbers: int, num_ids: Sequence[int]) -> None:
        """Make the embeddings from torch's global random state.

        Args:
            num_numbers: How many columns are numbers and flags, which come first.
            num_ids: Of each column of ids how many there are, 0 included.
        """
        super().__init__()
        self.num_numbers = num_numbers
        self.embeddings = nn.ModuleList(_embedding(n) for n in num_ids)
        self.out_features = num_numbers + sum(embedding_width(n) for n in num_ids)

    def forward(self, inputs: Tensor) -> Tensor:
        """Turn ``(batch, columns)`` float into ``(batch, out_features)`` of the default dtype."""
        numbers = inputs[:, : self.num_numbers].to(torch.get_default_dtype())
        ids = inputs[:, self.num_numbers :].long()
        parts = [embedding(ids[:, i]) for i, embedding in enumerate(self.embeddings)]
        return torch.cat([numbers, *parts], 1)


def _embedding(num_ids: int) -> nn.Embedding:
    made = nn.Embedding(num_ids, embedding_width(num_ids))
    with torch.no_grad():
        made.weight[0] = 0  # which no row trains where none is rare: an unknown value says nothing
    return made
