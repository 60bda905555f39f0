"""What only a person can say about a model: its use, its limits, its licence."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from maskstream.errors import ExportRefused

NOT_A_DEVICE = "Not a medical device: no part of it may be used to diagnose, to treat or to rule out disease."


class About(BaseModel):
    """The words of a model card that no measurement gives.

    Attributes
    ----------
    version : of the model.
    intended_use : in plain sentences.
    limits : one sentence each; shown in every report.
    weights_licence : SPDX name of the licence under which the weights are given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = "1"
    intended_use: str = "Not stated by whoever exported the model."
    limits: tuple[str, ...] = (NOT_A_DEVICE,)
    weights_licence: str = "not stated"


def load_about(path: Path) -> About:
    """Read a TOML file with the keys of `About`; missing ones keep their defaults.

    Raises
    ------
    ExportRefused : the file is missing or no TOML, or a key or value is wrong.
    """
    try:
        return About.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, found = f"{path}, {'.'.join(map(str, first['loc']))}", first["msg"]
    except (OSError, ValueError) as error:
        place, found = str(path), str(error)
    raise ExportRefused(
        place,
        expected=f"a TOML file with the keys {', '.join(About.model_fields)}",
        found=found,
        remedy="correct the file or leave out --about",
    )
