"""`maskstream annotate`: what labelme is started with, and what is said when it is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from labelme_files import png, put, shape
from typer.testing import CliRunner

from maskstream.cli.annotate import annotate
from maskstream.errors import DatasetError, MissingDependency

TRIANGLE = [[1, 1], [9, 1], [9, 9]]

CURRENT = (
    "usage: labelme [--with-image-data] [--no-auto-save] [--labels LABELS] [--validate-label, --validatelabel {exact}]"
)
OLD = "usage: labelme [--nodata] [--autosave] [--labels LABELS] [--validatelabel {exact}]"

PROGRAM = """#!{python}
import json, pathlib, sys
if sys.argv[1:] == ["--help"]:
    print({help!r})
    sys.exit({help_code})
labels = sys.argv[sys.argv.index("--labels") + 1] if "--labels" in sys.argv else None
said = {{"arguments": sys.argv[1:], "labels": labels and pathlib.Path(labels).read_text(encoding="utf-8").splitlines()}}
pathlib.Path({record!r}).write_text(json.dumps(said))
sys.exit({code})
"""


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(annotate)
    return made


class FakeLabelme:
    """A program of that name on the PATH, which writes down how it was called."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path, self._record = folder / "bin" / "labelme", folder / "called.json"
        self._path.parent.mkdir()
        self.become()
        monkeypatch.setenv("PATH", str(self._path.parent))

    def become(self, said: str = CURRENT, *, help_code: int = 0, code: int = 0) -> None:
        text = PROGRAM.format(
            python=sys.executable, help=said, help_code=help_code, code=code, record=str(self._record)
        )
        self._path.write_text(text)
        self._path.chmod(0o755)

    @property
    def was_started(self) -> bool:
        return self._record.exists()

    def called(self) -> dict[str, Any]:
        called: dict[str, Any] = json.loads(self._record.read_text())
        return called


@pytest.fixture
def labelme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLabelme:
    return FakeLabelme(tmp_path, monkeypatch)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "Bilder é"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    return folder


def options(called: dict[str, Any]) -> list[str]:
    return [a for a in called["arguments"][1:] if not a.endswith("labels.txt")]


def test_without_labels_anything_may_be_typed(app: typer.Typer, labelme: FakeLabelme, pictures: Path) -> None:
    assert CliRunner().invoke(app, [str(pictures)]).exit_code == 0
    assert labelme.called() == {"arguments": [str(pictures)], "labels": None}


def test_given_labels_are_the_only_ones(app: typer.Typer, labelme: FakeLabelme, pictures: Path) -> None:
    (pictures / "labels.txt").write_text("other\n")
    assert CliRunner().invoke(app, [str(pictures), "--labels", " nevus, melanoma ,,"]).exit_code == 0
    called = labelme.called()
    assert called["labels"] == ["nevus", "melanoma"]
    assert options(called) == ["--labels", "--validate-label", "exact"]
    assert (pictures / "labels.txt").read_text() == "other\n"


def test_labels_txt_counts_where_none_are_given(app: typer.Typer, labelme: FakeLabelme, pictures: Path) -> None:
    (pictures / "labels.txt").write_text("\ufeff__ignore__\r\nLäsion\r\n", encoding="utf-8")
    put(pictures, shape("nevus", TRIANGLE))
    assert CliRunner().invoke(app, [str(pictures)]).exit_code == 0
    called = labelme.called()
    assert called["labels"] == ["__ignore__", "Läsion"]
    assert "exact" in options(called)


def test_labels_in_use_are_offered_and_may_be_added_to(app: typer.Typer, labelme: FakeLabelme, pictures: Path) -> None:
    model = {"model": "m", "version": "1", "sha256": "", "classes": ["malignant", "benign"]}
    stamp = model | {"score_threshold": 0.5, "objects": 0}
    put(pictures, shape("wart", TRIANGLE), shape("benign", TRIANGLE), image="b.png", maskstream=stamp)
    put(pictures, shape("scale", TRIANGLE[:2], "line"), image="c.png")
    (pictures / "other.json").write_text("{}")
    assert CliRunner().invoke(app, [str(pictures)]).exit_code == 0
    called = labelme.called()
    assert called["labels"] == ["malignant", "benign", "scale", "wart"]
    assert options(called) == ["--labels"]


def test_an_older_labelme_is_told_to_save_by_itself_and_not_to_embed(
    app: typer.Typer, labelme: FakeLabelme, pictures: Path
) -> None:
    labelme.become(OLD)
    assert CliRunner().invoke(app, [str(pictures), "--labels", "a"]).exit_code == 0
    assert options(labelme.called()) == ["--nodata", "--autosave", "--labels", "--validatelabel", "exact"]


def test_labelmes_exit_code_is_passed_on(app: typer.Typer, labelme: FakeLabelme, pictures: Path) -> None:
    labelme.become(code=3)
    assert CliRunner().invoke(app, [str(pictures)]).exit_code == 3


def test_how_to_install_it_is_said_when_it_is_missing(
    app: typer.Typer, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    error = CliRunner().invoke(app, [str(pictures)]).exception
    assert isinstance(error, MissingDependency)
    assert str(error) == (
        "labelme: expected the program labelme, found none on the PATH; "
        "install it with: uv tool install labelme (or: pipx install labelme)"
    )


def test_a_labelme_that_does_not_start_is_named(app: typer.Typer, labelme: FakeLabelme, pictures: Path) -> None:
    labelme.become("", help_code=1)
    error = CliRunner().invoke(app, [str(pictures)]).exception
    assert isinstance(error, MissingDependency)
    assert "expected labelme to start, found exit code 1" in str(error)
    assert not labelme.was_started


def test_a_folder_without_images(app: typer.Typer, labelme: FakeLabelme, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, message in {"empty": "expected images, found none", "nowhere": "expected a folder"}.items():
        error = CliRunner().invoke(app, [str(tmp_path / name)]).exception
        assert isinstance(error, DatasetError)
        assert message in str(error)
    assert not labelme.was_started


def test_labelme_is_never_imported() -> None:
    code = "import sys, maskstream.cli.main, maskstream.cli.annotate; print([m for m in sys.modules if m == 'labelme'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
