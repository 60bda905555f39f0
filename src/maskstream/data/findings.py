"""What an import or a check finds wrong with data: each with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from maskstream.data.checked_json import Block
from maskstream.errors import DatasetError


class Severity(StrEnum):
    """How bad a finding is: an error spoils training or figures, a warning may, a note is for information."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(Block):
    """One thing that is wrong, or worth knowing.

    Attributes
    ----------
    code : its kind, in lower case with hyphens, such as "degenerate-box".
    severity : how bad it is.
    place : the file and, inside it, the line or key.
    expected, found, remedy : as in every error of maskstream.
    image : name of the image it is about, when it is about one.
    fix : what `maskstream data check --fix` does about it; None when a person must decide.
    """

    code: str
    severity: Severity
    place: str
    expected: str
    found: str
    remedy: str
    image: str | None = None
    fix: str | None = None

    @classmethod
    def of(cls, error: DatasetError, code: str, *, image: str | None = None, fix: str | None = None) -> Finding:
        """The finding that says what an error says."""
        return cls(
            code=code,
            severity=Severity.ERROR,
            place=error.place,
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
            image=image,
            fix=fix,
        )

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}; {self.remedy}"

    def error(self) -> DatasetError:
        """The error that says what the finding says."""
        return DatasetError(self.place, expected=self.expected, found=self.found, remedy=self.remedy)


Loss = tuple[Severity, str, str, str]
"""What a format cannot hold: severity, what it holds, what was found (with `{}` for how many), and the remedy."""


def told_losses(losses: Mapping[str, Loss], counts: Mapping[str, int], place: str) -> list[Finding]:
    """A finding for each kind of loss that happened, by its code."""
    return [
        Finding(code=code, severity=severity, place=place, expected=expected, found=found.format(count), remedy=remedy)
        for code, count in counts.items()
        if count
        for severity, expected, found, remedy in [losses[code]]
    ]


OnFinding = Callable[[Finding], None]


def raise_finding(finding: Finding) -> None:
    """The strict way to meet a finding."""
    raise finding.error()
