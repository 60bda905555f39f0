"""What to say when a command needs an optional package."""

from __future__ import annotations

from importlib.util import find_spec

from maskstream.errors import MissingDependency


def require_extra(extra: str, *packages: str) -> None:
    """Check that an extra's packages are there, without importing them.

    Raises
    ------
    MissingDependency : naming the packages and the command that installs them.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"extra {extra!r}",
            expected="its packages to be installed",
            found=f"no {', '.join(missing)}",
            remedy=f"run: pip install 'maskstream[{extra}]'",
        )
