"""Every error that maskstream raises on purpose.

    MaskstreamError
    |-- SourceError          an image, video or folder that cannot be read
    |-- OutputError          a place that cannot be written
    |-- ModelFolderError     a model folder that is incomplete, altered or of another kind
    |-- DatasetError         a dataset that is incomplete or contradicts itself
    |-- RecipeError          a training recipe that cannot be run
    |-- CheckpointError      a checkpoint or initial weights that do not fit
    |-- ExportRefused        an export that answers differently from the model it came from
    `-- MissingDependency    an optional package that the call needs

The library raises; only `cli/` prints and exits. An error says in one line at which place, what was
expected, what was found and what to do about it.
"""

from __future__ import annotations

from typing import Any


class MaskstreamError(Exception):
    """Base of all errors on purpose; the command line turns it into one line and exit code 2.

    Parameters
    ----------
    place : the file, folder, key or argument that is at fault.
    expected : what should have been there.
    found : what was there instead.
    remedy : what the reader can do now.
    """

    def __init__(self, place: object, *, expected: str, found: str, remedy: str) -> None:
        self.place = str(place)
        self.expected = expected
        self.found = found
        self.remedy = remedy
        message = f"{self.place}: expected {expected}, found {found}; {remedy}"
        super().__init__(" ".join(message.split()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets an error come whole out of another process."""
        return _remade, (type(self), self.place, self.expected, self.found, self.remedy)


def _remade(kind: type[MaskstreamError], place: str, expected: str, found: str, remedy: str) -> MaskstreamError:
    return kind(place, expected=expected, found=found, remedy=remedy)


class SourceError(MaskstreamError):
    """An image, video or folder that cannot be read."""


class OutputError(MaskstreamError):
    """A place that cannot be written."""


class ModelFolderError(MaskstreamError):
    """A model folder that is incomplete, altered or of another kind."""


class DatasetError(MaskstreamError):
    """A dataset that is incomplete or contradicts itself."""


class RecipeError(MaskstreamError):
    """A training recipe that cannot be run."""


class CheckpointError(MaskstreamError):
    """A checkpoint or initial weights that do not fit."""


class ExportRefused(MaskstreamError):
    """An export that answers differently from the model it came from."""


class MissingDependency(MaskstreamError):
    """An optional package that the call needs."""
