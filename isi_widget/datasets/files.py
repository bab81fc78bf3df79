"""`ImageFolder`: finds image files named in a table, only inside their folder.

Not for decoding images (`isi_widget.stimulus.load_image`), nor for reading the table (`csv_data`).
"""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from isi_widget.errors import InputError
from isi_widget.stimulus.loading import check_image

#: First bytes of tables in other formats: name, and how to write them as CSV.
_OTHER_FORMATS = (
    (b"PAR1", "a Parquet file", "pandas.read_parquet(path).to_csv('table.csv', index=False)"),
    (b"PK\x03\x04", "a workbook of a spreadsheet", "save it as CSV UTF-8 there"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old spreadsheet", "save it as CSV UTF-8 there"),
    (b"ARROW1", "an Arrow file", "pandas.read_feather(path).to_csv('table.csv', index=False)"),
    (b"\x1f\x8b", "compressed (gzip)", "unpack it first"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
)


def refuse_other_format(table: Path) -> None:
    """Refuse a table that is no text, by its first bytes, and one in JSON.

    Raises
    ------
    InputError : it names the format and how to make CSV of it.
    """
    with table.open("rb") as file:
        head = file.read(64)
    for start, title, advice in _OTHER_FORMATS:
        if head.startswith(start):
            raise InputError(f"{table} is {title}, not CSV: {advice}.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        raise InputError(
            f"{table} is JSON, not CSV: pandas.read_json(path).to_csv('table.csv', index=False). Boxes in "
            "JSON: isi.datasets.from_coco."
        )


class ImageFolder:
    """A folder of images for a table; each name is looked up once.

    A table may come from anyone. So names are refused if they are absolute, contain "..", or leave the folder
    by a symbolic link, in the notation of any operating system.
    """

    def __init__(self, folder: Path) -> None:
        self._shown = str(folder)
        self._home = folder.resolve()
        self._found: dict[str, Path | InputError] = {}

    def image(self, name: str) -> Path:
        """Find the image file `name` in the folder or below; follows symbolic links and checks the image
        header.

        Raises
        ------
        InputError : name outside the folder, missing file, or file that `load_image` refuses.
        """
        if name not in self._found:
            try:
                path = self._inside(name)
                check_image(path)
                self._found[name] = path
            except InputError as error:
                self._found[name] = error
        found = self._found[name]
        if isinstance(found, InputError):
            raise InputError(*found.args)
        return found

    def _inside(self, name: str) -> Path:
        if "\0" in name:
            raise InputError(f"{name!r} is no file name.")
        if self._is_plain(name):
            return self._home / name
        if "://" in name or name.startswith("data:"):
            raise InputError(
                f"{name[:80]!r} is a URL, and nothing is fetched from a network here. Save the image in "
                f"{self._shown!r} and give its name."
            )
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        if posix.is_absolute() or windows.drive or windows.root:
            raise InputError(f"{name!r} is an absolute path; give the name of a file in {self._shown!r}.")
        if ".." in windows.parts:  # splits at both kinds of slash
            raise InputError(f"{name!r} leads out of its folder; give the name of a file in {self._shown!r}.")
        try:
            path = (self._home / name).resolve()
            exists = path.is_file()
        except (OSError, RuntimeError, ValueError) as error:  # too long, no file name, a loop of links
            raise InputError(f"{name!r} cannot be looked up in {self._shown!r}: {error}.") from None
        if not path.is_relative_to(self._home):
            raise InputError(f"{name!r} is a link that leads out of {self._shown!r}.")
        if not exists:
            raise InputError(f"there is no file {name!r} in {self._shown!r}{_alike(self._home, name)}.")
        return path

    def _is_plain(self, name: str) -> bool:
        """Return whether it is an ordinary file directly in the folder, checked with one disk access: most
        names are.
        """
        if any(sign in name for sign in "/\\:") or name in (".", ".."):
            return False
        try:
            return stat.S_ISREG((self._home / name).lstat().st_mode)  # false for a link
        except (OSError, ValueError):
            return False


def _alike(folder: Path, name: str) -> str:
    """Return a hint if a file with this name exists in a different case or with a different ending."""
    wanted = PurePosixPath(name)
    near = (folder / wanted.parent).glob("*")
    found = sorted(item.name for item in near if item.stem.casefold() == wanted.stem.casefold())
    return f"; there is {', '.join(map(repr, found[:3]))}" if found else ""
