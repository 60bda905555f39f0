"""`maskstream data check`: text, JSON, exit codes and `--fix`, as a user meets them."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from planted_faults import checked, clean_dataset, plant, tree_hash
from typer.testing import CliRunner, Result

from maskstream.cli.data.check import check
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Severity
from maskstream.errors import DatasetError, MaskstreamError, OutputError

app = typer.Typer()
app.command()(check)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_dataset(tmp_path_factory.mktemp("clean") / "clean")


@pytest.fixture
def dataset(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "dataset"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failure(*arguments: object) -> MaskstreamError:
    """The error on purpose, for which `main` prints a line and exits with 2."""
    error = run(*arguments).exception
    assert isinstance(error, MaskstreamError)
    return error


def as_json(*arguments: object) -> dict[str, Any]:
    """What is printed on stdout, which must be nothing but JSON."""
    content: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return content


@pytest.mark.parametrize(
    ("faults", "fail_on", "code"),
    [
        ((), "warning", 0),
        (("tiny-object",), "warning", 0),
        (("area-mismatch",), "warning", 3),
        (("area-mismatch", "tiny-object", "short-polygon"), "warning", 4),
        (("area-mismatch",), "error", 0),
        (("short-polygon",), "error", 4),
        (("short-polygon",), "never", 0),
    ],
)
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_the_exit_code_tells_the_worst_finding(
    dataset: Path, how: list[str], faults: tuple[str, ...], fail_on: str, code: int
) -> None:
    plant(dataset, *((fault, number) for number, fault in enumerate(faults)))
    assert run(dataset, "--fail-on", fail_on, *how).exit_code == code


def test_json_lists_every_finding(dataset: Path) -> None:
    plant(dataset, *(("short-polygon", number) for number in range(7)), ("tiny-object", 8))
    before = tree_hash(dataset)
    content = as_json(dataset)
    assert tree_hash(dataset) == before
    assert content["schema"] == 1
    assert content["dataset"] == str(dataset)
    assert content["counts"] == {"error": 7, "warning": 0, "note": 1}
    assert content["codes"] == {"short-polygon": 7, "tiny-object": 1}
    assert content["mended"] is None
    assert content["findings"] == [found.model_dump(mode="json") for found in checked(dataset)[0]]
    assert set(content["findings"][0]) == {
        "code", "severity", "place", "expected", "found", "remedy", "image", "fix"
    }  # fmt: skip


def test_json_of_a_clean_dataset(clean: Path) -> None:
    assert as_json(clean)["findings"] == []


def test_json_beyond_what_is_kept_in_memory(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["maskstream.cli.data.check"], "IN_MEMORY_BYTES", 100)
    plant(dataset, *(("short-polygon", number) for number in range(12)))
    assert len(as_json(dataset)["findings"]) == 12


def test_text_shows_the_first_of_a_kind_and_counts_the_rest(dataset: Path) -> None:
    plant(dataset, *(("short-polygon", number) for number in range(7)), ("tiny-object", 8))
    printed = run(dataset).stdout
    assert printed.count(": 2 points") == 3
    assert "and 4 more; --json lists all" in printed
    assert f"{dataset / 'annotations.json'}: image 00.png: object 1 of 2 (cat): 2 points" in printed
    assert "remedy: redraw the object or remove it" in printed
    assert "7 errors, 0 warnings, 1 note" in printed
    assert printed.index("tiny-object") < printed.index("short-polygon")


def test_progress_stays_off_stdout_and_is_for_terminals(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not run(clean).stderr
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    result = run(clean)
    assert result.stdout == "0 errors, 0 warnings, 0 notes\n"
    assert "examining" in result.stderr


def test_fix_writes_a_new_dataset_and_says_what_it_did(dataset: Path, tmp_path: Path) -> None:
    plant(dataset, ("short-polygon", 1), ("short-polygon", 2), ("empty-mask", 3))
    before = tree_hash(dataset)
    result = run(dataset, "--fix", "--out", tmp_path / "mended")
    assert result.exit_code == 0
    assert "check --fix: short-polygon: drops the part (2 times)" in result.stdout
    assert f"mended dataset in {tmp_path / 'mended'}" in result.stdout
    assert tree_hash(dataset) == before
    assert Counter(len(record.annotations) for record in Dataset.load(tmp_path / "mended").images) == {1: 3, 2: 9}


def test_what_is_left_after_fix_counts(dataset: Path, tmp_path: Path) -> None:
    plant(dataset, ("short-polygon", 1), ("self-crossing", 2))
    content = as_json(dataset, "--fix", "--out", tmp_path / "mended")
    assert content["mended"] == {
        "folder": str(tmp_path / "mended"),
        "edits": ["check --fix: short-polygon: drops the part (1 time)"],
    }
    assert run(dataset, "--fix", "--out", tmp_path / "again").exit_code == 3


@pytest.mark.parametrize("options", [["--fix"], ["--out", "new"]])
def test_fix_and_out_go_together(clean: Path, options: list[str]) -> None:
    error = failure(clean, *options)
    assert isinstance(error, DatasetError)
    assert "expected --fix and --out together" in str(error)


def test_nothing_is_written_into_the_dataset(dataset: Path) -> None:
    before = tree_hash(dataset)
    assert "expected a folder outside the dataset" in str(
        failure(dataset, "--fix", "--out", dataset / "images" / "new")
    )
    assert tree_hash(dataset) == before


def test_a_folder_in_use_is_left_alone(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    assert isinstance(failure(dataset, "--fix", "--out", tmp_path / "used"), OutputError)
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["annotations.json", "splits.json", "dataset.json"])
def test_a_broken_file_is_an_error_that_fix_does_not_pass_over(dataset: Path, tmp_path: Path, name: str) -> None:
    (dataset / name).write_text("[1, 2")
    result = run(dataset)
    assert result.exit_code == 4
    assert f"{dataset / name}: EOF while parsing a list at line 1 column 5" in result.stdout
    assert str(failure(dataset, "--fix", "--out", tmp_path / "new")).startswith(str(dataset / name))
    assert not (tmp_path / "new").exists()


def test_no_dataset_is_bad_input(tmp_path: Path) -> None:
    assert "expected a dataset folder" in str(failure(tmp_path / "nowhere"))


def test_brackets_in_names_are_no_markup(dataset: Path) -> None:
    content = json.loads((dataset / "annotations.json").read_text())
    content["categories"][0]["name"] = "[red]cat[/]"
    (dataset / "annotations.json").write_text(json.dumps(content))
    plant(dataset, ("short-polygon", 1))
    assert "([red]cat[/])" in run(dataset).stdout


def test_all_severities_have_a_colour() -> None:
    from maskstream.cli.data.check import COLOURS

    assert set(COLOURS) == set(Severity)
