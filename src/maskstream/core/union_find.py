"""Sets that only ever merge."""

from __future__ import annotations


class UnionFind:
    """The numbers 0 to n - 1, each a set of its own until it is joined to another."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._size = [1] * count

    def find(self, item: int) -> int:
        """The number that stands for the set of `item`."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, a: int, b: int) -> None:
        """Merge two sets."""
        a, b = self.find(a), self.find(b)
        if a != b:
            a, b = (a, b) if self._size[a] >= self._size[b] else (b, a)
            self._parent[b] = a
            self._size[a] += self._size[b]

    def together(self, a: int, b: int) -> bool:
        """Whether two numbers are in one set."""
        return self.find(a) == self.find(b)

    def size(self, item: int) -> int:
        """How many numbers are in the set of `item`."""
        return self._size[self.find(item)]
