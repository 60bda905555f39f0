"""Identity F1 of `maskstream segment` on synthetic clips: the real command, judged by `evaluation/videos/video.py`.

    python benchmarks/sample_identity.py --seeds 1000-1019 [--model lesions] [--out identity.json]

Seeds 1000 to 1019 are for figures that are published; development looks at others only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from maskstream.core.files import write_json
from maskstream.evaluation.videos.video import VideoJudge, VideoMetrics, pooled
from maskstream.inference.load import load_model
from maskstream.media.lines import line_to_detections, read_lines
from maskstream.media.sample import SampleClip
from maskstream.pipeline import run


def judge_seed(seed: int, model: str) -> VideoMetrics:
    """Run the sample clip of a seed through the pipeline and judge its lines."""
    segmenter = load_model(model)
    clip, verdict = SampleClip(seed=seed), VideoJudge()
    with tempfile.TemporaryDirectory() as folder:
        run(f"sample:lesions?seed={seed}", Path(folder) / "run", segmenter)
        for line in read_lines(Path(folder) / "run" / "detections.jsonl"):
            verdict.add(clip.truth(line["frame"]), line_to_detections(line, segmenter.classes))
    return verdict.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", required=True, help="first-last, both included")
    parser.add_argument("--model", default="lesions")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    first, last = map(int, given.seeds.split("-"))
    videos: dict[int, VideoMetrics] = {}
    for seed in range(first, last + 1):
        videos[seed] = judge_seed(seed, given.model)
        print(seed, json.dumps(videos[seed].flat()), flush=True)
    everything = pooled(videos.values())
    print("all", json.dumps(everything.flat()))
    if given.out:
        per_seed = {str(seed): video.idf1 for seed, video in videos.items()}
        write_json(given.out, {"seeds": given.seeds, "idf1_per_seed": per_seed, **everything.flat()})


if __name__ == "__main__":
    main()
