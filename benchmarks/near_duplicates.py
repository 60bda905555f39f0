"""How many planted near-duplicates are found, and how many pairs are found that are none, on real images.

    python benchmarks/near_duplicates.py ../shared/data [--sample 40] [--out figures.json]

Some images of each set, drawn with a fixed seed, are edited and planted beside the whole set, one kind of edit a run.
Recall: the share of planted images found as a pair with (or linked to) their source. False pairs: pairs of images that
show different things: of different lesions (HAM10000), sequences (DAVIS), patients (lungs), places and scenes (the
others). ISIC 2017 does not say which images are of one lesion; its pairs were looked at, docs/splits.md lists them.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from maskstream.core.files import write_json
from maskstream.core.union_find import UnionFind
from maskstream.data.duplicates.search import DuplicatePair, find_duplicates
from maskstream.data.records import ImageRecord

SETS = {
    "isic2017": "isic2017/images", "ham10000": "ham10000_mel_bcc/images", "lungs": "lungs_montgomery/images",
    "coco128": "coco128/images", "davis2016": "davis2016/JPEGImages", "oil_tanks": "oil_tanks/images",
}  # fmt: skip


def _resized(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC
    )


def _cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    """Some share off each side."""

    def crop(image: Image.Image) -> Image.Image:
        x, y = round(image.width * share), round(image.height * share)
        return image.crop((x, y, image.width - x, image.height - y))

    return crop


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": _resized(0.5),
    "a quarter of the size": _resized(0.25),
    "twice the size": _resized(2),
    "JPEG quality 30": lambda image: image,
    "30 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "30 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "gamma 0.6": lambda image: image.point([round(255 * (v / 255) ** 0.6) for v in range(256)] * 3),
    "contrast x 1.5": lambda image: ImageEnhance.Contrast(image).enhance(1.5),
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "mirrored left to right": ImageOps.mirror,
    "mirrored top to bottom": ImageOps.flip,
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "2 % cropped off each side": _cropped(0.02),
    "5 % cropped off each side": _cropped(0.05),
    "mirrored, half, brighter, quality 30": lambda image: ImageEnhance.Brightness(
        ImageOps.mirror(_resized(0.5)(image))
    ).enhance(1.3),
}
QUALITY = {"JPEG quality 30": 30, "mirrored, half, brighter, quality 30": 30}


def groups_of(shared: Path, name: str, paths: list[Path]) -> dict[str, str]:
    """What each image shows: images of one group may be alike."""
    if name == "ham10000":
        with (shared / "ham10000_mel_bcc" / "labels.csv").open(newline="") as file:
            lesions = {f"{row['image_id']}.jpg": row["lesion_id"] for row in csv.DictReader(file)}
        return {path.name: lesions[path.name] for path in paths}
    if name == "davis2016":
        return {f"{path.parent.name}/{path.name}": path.parent.name for path in paths}
    if name == "isic2017":  # it does not say; these pairs were looked at
        found = find_duplicates([ImageRecord(1, path.name, path, None) for path in paths])
        linked = _linked([path.name for path in paths], found)
        first = {pair.b: pair.a for pair in found if linked(pair.a, pair.b)}
        return {path.name: first.get(path.name, path.name) for path in paths}
    return {path.name: path.name for path in paths}


def measure(folder: Path, groups: dict[str, str], sample: list[str], edit: str | None) -> dict[str, object]:
    """Recall of one edit, and the false pairs with these images planted."""
    records = [ImageRecord(i, name, folder / name, None) for i, name in enumerate(groups)]
    with tempfile.TemporaryDirectory() as temporary:
        for i, name in enumerate(sample if edit else []):
            path = Path(temporary) / f"{i}.jpg"
            with Image.open(folder / name) as image:
                EDITS[edit or ""](image.convert("RGB")).save(path, quality=QUALITY.get(edit or "", 90))
            records.append(ImageRecord(len(records), f"planted/{i}.jpg", path, None))
        begun = time.perf_counter()
        pairs = find_duplicates(records)
        seconds = time.perf_counter() - begun
    source = {f"planted/{i}.jpg": name for i, name in enumerate(sample)}
    false = [pair for pair in pairs if not _alike(pair, source, groups)]
    linked = _linked([record.name for record in records], pairs)
    planted = [record.name for record in records if record.name in source]
    return {
        "found": sum(linked(name, source[name]) for name in planted),
        "planted": len(planted),
        "pairs": len(pairs),
        "false": [(pair.a, pair.b, round(pair.similarity, 3), pair.how) for pair in false],
        "images_per_s": round(len(records) / seconds, 1),
    }


def _alike(pair: DuplicatePair, source: dict[str, str], groups: dict[str, str]) -> bool:
    return groups[source.get(pair.a, pair.a)] == groups[source.get(pair.b, pair.b)]


def _linked(names: list[str], pairs: list[DuplicatePair]) -> Callable[[str, str], bool]:
    number = {name: i for i, name in enumerate(names)}
    sets = UnionFind(len(names))
    for pair in pairs:
        sets.join(number[pair.a], number[pair.b])
    return lambda a, b: sets.together(number[a], number[b])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    figures: dict[str, dict[str, object]] = {}
    for name in given.sets.split(","):
        folder = given.shared / SETS[name]
        paths = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".png"})
        groups = groups_of(given.shared, name, paths)
        sample = random.Random(given.seed).sample(sorted(groups), min(given.sample, len(groups)))
        for edit in (None, *EDITS):
            figure = measure(folder, groups, sample, edit)
            figures.setdefault(name, {})[edit or "nothing planted"] = figure
            print(f"{name:10} {edit or 'nothing planted':40} {json.dumps(figure)[:400]}", flush=True)
    if given.out:
        write_json(given.out, {"seed": given.seed, "sets": figures})


if __name__ == "__main__":
    main()
