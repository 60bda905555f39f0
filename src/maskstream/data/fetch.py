"""The source of a dataset, brought to this machine: a path, a zip file, an https address or a name on Kaggle.

Zip files are unpacked, and addresses downloaded, into a working folder; what lies on this machine already stays where
and as it is.
"""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import IMAGES
from maskstream.data.formats.format import SPLIT_FOLDERS
from maskstream.data.zip_files import unpack
from maskstream.errors import MissingDependency, SourceError
from maskstream.media.download import check_online, download

KAGGLE = "kaggle:"
_SLUG = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_KAGGLE_NAME = re.compile(rf"({_SLUG})/({_SLUG})")

OTHER_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
"""How archives begin that are not unpacked."""


def local_source(
    source: str,
    work: Path,
    on_progress: OnProgress | None = None,
    *,
    allow_private: bool = False,
    context: ssl.SSLContext | None = None,
) -> Path:
    """The folder or file that a source is, or becomes in the working folder.

    Parameters
    ----------
    source : a path, a zip file, an address that begins with https://, `kaggle:owner/name`, or
        `kaggle:competitions/name`.
    work : an existing folder for what is downloaded and unpacked; the caller removes it.
    on_progress : told how many bytes are downloaded, or files unpacked.
    allow_private, context : see `download`.

    Raises
    ------
    SourceError : nothing is there, or it cannot be downloaded (see `download`).
    DatasetError : a zip file that cannot be unpacked safely (see `unpack`).
    MissingDependency : Kaggle's client is not installed.
    OutputError : the working folder cannot be written.
    """
    if source.startswith(KAGGLE):
        return _unpacked(_from_kaggle(source, work / "download"), work, on_progress)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source):
        path = work / "download" / _file_name(source)
        download(source, path, allow_private=allow_private, context=context, on_progress=on_progress)
        _check_kind(source, path)
        return _unpacked(path, work, on_progress) if zipfile.is_zipfile(path) else path
    path = Path(source).expanduser()
    if not _exists(path):
        raise SourceError(
            source,
            expected="a folder, annotation file, zip file, https address or kaggle:owner/name",
            found="no such file or folder",
            remedy=f"check the path; it is looked up from {Path.cwd()}",
        )
    return _unpacked(path, work, on_progress) if path.suffix.lower() == ".zip" and path.is_file() else path


def _unpacked(path: Path, work: Path, on_progress: OnProgress | None) -> Path:
    """The folder that a zip file becomes; without a folder that only wraps all others."""
    folder = unpack(path, work / "unpacked" / path.stem, on_progress=on_progress)
    while True:
        inside = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in {IMAGES, *SPLIT_FOLDERS}:
            return folder
        folder = inside[0]


def _file_name(address: str) -> str:
    """A name for what an address holds: its own, as far as it is a plain one."""
    last = PurePosixPath(unquote(urlsplit(address).path)).name
    return re.sub(r"[^\w. -]", "_", last).lstrip(". ")[-100:] or "download"


def _check_kind(source: str, path: Path) -> None:
    """Whether what came is what was meant; no server is believed, so the file itself is looked at."""
    with path.open("rb") as file:
        beginning = file.read(512)
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    archive = next((name for magic, name in OTHER_ARCHIVES.items() if beginning.startswith(magic)), None)
    if text.startswith((b"<!doctype html", b"<html")):
        found, remedy = "a web page", "give the address of the file itself; if it needs a login, use a browser"
    elif archive:
        found, remedy = f"an archive of the kind {archive}", "unpack it and give the folder"
    else:
        return
    raise SourceError(source, expected="a zip file or an annotation file", found=found, remedy=remedy)


def _from_kaggle(source: str, folder: Path) -> Path:
    """Let Kaggle's own client download a dataset's zip file."""
    match = _KAGGLE_NAME.fullmatch(source.removeprefix(KAGGLE))
    if match is None:
        raise SourceError(
            source,
            expected="kaggle:owner/name or kaggle:competitions/name",
            found="a name that Kaggle cannot have",
            remedy="copy both parts from the address of its page",
        )
    check_online(source)
    client = shutil.which("kaggle")
    if client is None:
        raise MissingDependency(
            source,
            expected="Kaggle's own client, the program kaggle",
            found="none",
            remedy="pip install kaggle, make a token at https://www.kaggle.com/settings and put it where the page says",
        )
    owner, name = match.groups()
    what = (
        ["competitions", "download", "-c", name]
        if owner == "competitions"
        else ["datasets", "download", "-d", match[0]]
    )
    folder.mkdir(parents=True)
    done = subprocess.run(
        [client, *what, "-p", str(folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    archives = sorted(folder.glob("*.zip"))
    if done.returncode or len(archives) != 1:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1][:200]
        raise SourceError(
            source,
            expected="a zip file from Kaggle's client",
            found=f"{len(archives)} of them, exit code {done.returncode}, and it says: {said}",
            remedy="check the name, your token, and whether you accepted the rules on its page",
        )
    return archives[0]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, or a NUL in it
        return False
