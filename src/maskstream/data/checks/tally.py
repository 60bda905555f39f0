"""Findings counted by kind, with the first of each kept to show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from maskstream.data.findings import Finding, Severity

SHOWN = 3
"""Findings of a kind that are kept to be shown."""


@dataclass(slots=True)
class Tally:
    """How many findings of each kind there are; memory does not grow with their number.

    Attributes
    ----------
    counts : findings of each severity and code.
    unfixed : those of each severity that `--fix` does not mend.
    first : the first few of each severity and code.
    """

    counts: Counter[tuple[Severity, str]] = field(default_factory=Counter)
    unfixed: Counter[Severity] = field(default_factory=Counter)
    first: dict[tuple[Severity, str], list[Finding]] = field(default_factory=dict)

    def add(self, found: Finding) -> None:
        """Count a finding."""
        key = found.severity, found.code
        self.counts[key] += 1
        self.unfixed[found.severity] += found.fix is None
        shown = self.first.setdefault(key, [])
        if len(shown) < SHOWN:
            shown.append(found)

    def total(self, severity: Severity) -> int:
        """How many findings are of a severity."""
        return sum(count for (of, _), count in self.counts.items() if of is severity)

    def ranked(self) -> list[tuple[Severity, str]]:
        """Severities and codes, the worst first, and of one severity in the order in which they were met."""
        order = list(Severity)
        return sorted(self.counts, key=lambda key: order.index(key[0]))
