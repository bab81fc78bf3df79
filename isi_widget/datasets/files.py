"""Image files named by a table: found inside their folder, or refused.

Not for decoding them (`isi_widget.stimulus.load_image` does) nor for reading the table (`csv_data`).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from isi_widget.errors import InputError


def inside(folder: Path, name: str) -> Path:
    """The file `name` in `folder` or below it, symbolic links followed.

    A table may come from anyone, so names that are absolute, climb with "..", or lead out of the folder by
    a symbolic link are refused, in the notation of any system.

    Raises
    ------
    InputError : such a name, or no such file.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if "\0" in name:
        raise InputError(f"{name!r} is no file name.")
    if posix.is_absolute() or windows.drive or windows.root:
        raise InputError(f"{name!r} is an absolute path; give the name of a file in {str(folder)!r}.")
    if ".." in windows.parts:  # splits at both kinds of slash
        raise InputError(f"{name!r} leads out of its folder; give the name of a file in {str(folder)!r}.")
    home = folder.resolve()
    try:
        path = (home / name).resolve()
        exists = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, a loop of links
        raise InputError(f"{name!r} cannot be looked up in {str(folder)!r}: {error}.") from None
    if not path.is_relative_to(home):
        raise InputError(f"{name!r} is a link that leads out of {str(folder)!r}.")
    if not exists:
        raise InputError(f"there is no file {name!r} in {str(folder)!r}{_alike(home, name)}.")
    return path


def _alike(folder: Path, name: str) -> str:
    """A hint if a file of that name exists in other capitals or with another ending."""
    wanted = PurePosixPath(name)
    near = (folder / wanted.parent).glob("*")
    found = sorted(item.name for item in near if item.stem.casefold() == wanted.stem.casefold())
    return f"; there is {', '.join(map(repr, found[:3]))}" if found else ""
