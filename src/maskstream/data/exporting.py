"""From a dataset to labels in any known format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from maskstream.core.files import whole_folder
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.formats.format import WriteOptions
from maskstream.data.formats.known_formats import FORMATS
from maskstream.errors import DatasetError


def export_dataset(
    dataset: Dataset,
    out: Path,
    format_name: str,
    options: WriteOptions | None = None,
    *,
    splits: Sequence[str] = (),
) -> list[Finding]:
    """Write a dataset in a format into a folder that appears whole or not at all.

    Parameters
    ----------
    splits : make a folder of each of these splits (`train/`, `test/`), each complete in itself; by default one
        folder holds every image.

    Returns
    -------
    What the format could not hold.

    Raises
    ------
    DatasetError : an unknown format or split, or an image that is missing.
    OutputError : `out` is in use or cannot be written.
    """
    if format_name not in FORMATS or FORMATS[format_name].write is None:
        known = ", ".join(name for name, entry in FORMATS.items() if entry.write)
        raise DatasetError("--format", expected=f"one of {known}", found=repr(format_name), remedy="choose one")
    write = FORMATS[format_name].write
    assert write is not None
    options = options or WriteOptions()
    with whole_folder(out) as temporary:
        if not splits:
            return list(write(dataset, temporary, options))
        findings: list[Finding] = []
        for split in splits:
            part = replace(dataset.with_images(dataset.records(split)), splits={}, left_out=())
            (temporary / split).mkdir()
            findings.extend(write(part, temporary / split, options))
        return findings
