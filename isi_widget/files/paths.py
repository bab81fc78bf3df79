"""Paths that a person gave: "~" is the home folder, and what no file can be named is refused in plain words.

Not for whether a file exists, nor for what it holds.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from isi_widget.errors import InputError

_NAMED = 80  # characters of a path in the message


def path_of_user(path: str | os.PathLike[str], name: str) -> Path:
    """Return a path with the home folder in the place of "~".

    Parameters
    ----------
    path : path of a file or folder, which need not exist.
    name : its name in the message, such as "session".

    Raises
    ------
    InputError : no file or folder can have this path: a name is too long, a user unknown, or a character not
        allowed.
    """
    try:
        found = Path(path).expanduser()
        os.stat(found)  # noqa: PTH116  Path.exists is silent about characters that are not allowed
    except RuntimeError:
        reason = "there is no user of this name, whose home folder it would be"
    except ValueError as error:
        reason = str(error)
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            return found
        reason = error.strerror or str(error)
    else:
        return found
    given = os.fspath(path)
    shown = given if len(given) <= _NAMED else f"{given[:_NAMED]}..."
    raise InputError(f"{name} must be a path of this computer; got {shown!r}: {reason}. Use another name.")
