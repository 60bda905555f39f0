"""`maskstream frames`: films to the frames worth labelling."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.cli.progress import progress_bar
from maskstream.cli.resumable import EXIT_INTERRUPTED
from maskstream.data.frames.folder import APART_BITS, TABLE
from maskstream.data.frames.pick import FrameOptions, pick_frames
from maskstream.data.frames.table import read_kept
from maskstream.inference.load import load_model
from maskstream.reports.frames_page import write_frames_page

LARGEST_SIDE_PX = 16_384


class PictureFormat(StrEnum):
    """How kept frames are written."""

    PNG = "png"
    JPG = "jpg"


def _size_hw(text: str) -> tuple[int, int]:
    """(height, width) of "WIDTHxHEIGHT"."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not (1 <= width <= LARGEST_SIDE_PX and 1 <= height <= LARGEST_SIDE_PX):
        raise typer.BadParameter(f"expected WIDTHxHEIGHT in pixels, such as 224x224, found {text!r}")
    return height, width


def frames(
    videos: Annotated[list[str], typer.Argument(help="Videos; also folders or globs of images, and sample:lesions.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the table; must be new or empty.")],
    count: Annotated[int, typer.Option(min=1, help="Frames to pick, from all films together.")],
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Size of the pictures, aspect kept, padded.  [default: as in the film]"),
    ] = None,
    crop: Annotated[
        bool, typer.Option("--crop", help="Fill --size and cut what is beyond, instead of padding.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Prefer frames with objects, and those of which this model (name or folder) is unsure."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Look at each n-th frame only.")] = 1,
    apart: Annotated[
        int, typer.Option(min=0, max=64, help="Bits of 64 by which any two kept frames must differ more.")
    ] = APART_BITS,
    picture_format: Annotated[PictureFormat, typer.Option("--format", help="png is lossless.")] = PictureFormat.PNG,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Pick the frames worth labelling: sharp, well lit, and different from each other; say why of every frame."""
    size_hw = _size_hw(size) if size else None
    options = FrameOptions(count, size_hw, crop, f".{picture_format}", every, apart)
    console = Console(stderr=True)
    with progress_bar("scoring", "fps", console) as on_progress:
        try:
            segmenter = load_model(model) if model else None
            pick_frames(videos, out, options, segmenter, resume=resume, on_progress=on_progress)
        except KeyboardInterrupt:
            again = "the same command with --resume goes on"
            console.print(f"stopped; what is finished is kept, and {again}", highlight=False, soft_wrap=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
    page = write_frames_page(out)
    console.print(
        f"{_outcome(len(read_kept(out / TABLE)), count)}: {page}", highlight=False, soft_wrap=True, markup=False
    )


def _outcome(kept: int, count: int) -> str:
    if kept == count:
        return f"kept {kept} frames"
    if not kept:
        return "kept no frame; what is wrong with each is in frames.csv and on the page"
    return f"kept {kept} of the {count} frames asked for; no more were found that are good and differ"
