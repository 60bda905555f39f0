"""What tracking buys: the class of a lesion frame by frame against that of its track, on films of real stills.

    python benchmarks/tracking_gain.py --data lesions-data --split val --out gain [--each 15] [--model lesions]

A virtual camera (`virtual_camera.py`) wanders over stills of each class; every film is five seconds, of which five
frames a second are kept. They become a dataset in OUT/data that `maskstream.evaluate` judges as films.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from virtual_camera import RATE, SIZE_HW, camera_path, view

import maskstream as ms
from maskstream.core import masks
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.evaluation_target import EvaluationSettings

SECONDS, STEP = 5, 5
"""Length of a film, and every how manieth of its frames is kept."""

FIGURES = (
    "frame_class_accuracy",
    "track_class_accuracy",
    "tracking_gain",
    "percentage_jitter",
    "area_jitter",
    "JF",
    "HOTA",
    "IDF1",
)


def film_records(dataset: Dataset, record: ImageRecord, number: int, folder: Path) -> list[ImageRecord]:
    """Write the frames of a film over a still of one lesion, and say what they show."""
    still = record.read_image()
    (annotation,) = record.annotations
    lesion = annotation.mask(record.size_hw).dense(record.size_hw).astype(np.uint8) * 255
    video = Path(record.name).stem
    poses = camera_path(SECONDS * int(RATE), np.random.default_rng(number))
    records = []
    for index in range(0, len(poses), STEP):
        seen, mask = view(still, lesion, poses[index])
        path = folder / video / f"{index:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))
        origin = {"video": video, "index": index, "time_s": index / float(RATE)}
        found = Annotation.from_mask(annotation.class_id, masks.crop(mask), SIZE_HW, {"track_id": 1})
        records.append(
            ImageRecord(0, f"{video}/{path.name}", path, SIZE_HW, (found,), group=video, attributes={"frame": origin})
        )
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=15, help="films of each class, of the first images that show it")
    parser.add_argument("--model", default="lesions")
    given = parser.parse_args()
    dataset = Dataset.load(given.data)
    records: list[ImageRecord] = []
    for class_id in range(len(dataset.classes)):
        shows = [r for r in dataset.records(given.split) if [a.class_id for a in r.annotations] == [class_id]]
        for number, record in enumerate(shows[: given.each]):
            records += film_records(dataset, record, number, given.out / "frames")
    numbered = tuple(
        ImageRecord(n, r.name, r.path, r.stated_size_hw, r.annotations, r.group, r.attributes)
        for n, r in enumerate(records, start=1)
    )
    films = Dataset(
        folder=given.out / "frames",
        classes=dataset.classes,
        images=numbered,
        splits={"all": tuple(r.name for r in numbered)},
        left_out=(),
        splits_made_by="nobody: all of it is judged",
        provenance=Provenance(
            name="films of stills",
            source=dataset.provenance.name,
            licence=dataset.provenance.licence,
            licence_url=dataset.provenance.licence_url,
            importer="benchmarks/tracking_gain.py",
        ),
    )
    films.save(given.out / "data")
    settings = EvaluationSettings(worst=0, why=0, slices=False, figures=False)
    metrics = ms.evaluate(given.model, given.out / "data", given.out / "judged", split="all", settings=settings)
    for key in FIGURES:
        bounds = [metrics.get(f"{key}_{side}") for side in ("low", "high")]
        print(key, json.dumps([metrics.get(key), *bounds]))


if __name__ == "__main__":
    main()
