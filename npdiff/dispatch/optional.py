"""Rows of packages that npdiff does not need: entered once the package is there.

Importing npdiff imports none of them. A package is looked for when a transform starts and when a ufunc
arrives that has no row; if the user's code has imported it by then, its chapter is imported.
"""

from __future__ import annotations

import importlib
import sys

# Module of the user's -> the chapter with its rows.
_chapters = {
    "scipy.special": "npdiff.dispatch.scipy.special",
    "scipy.linalg": "npdiff.dispatch.scipy.linalg",
}


def load_seen() -> None:
    """Enter the rows of every package that has been imported by now."""
    for module in list(_chapters):
        found = sys.modules.get(module)
        # A module that is still being imported does not have all of its names.
        if found is not None and not getattr(found.__spec__, "_initializing", False):
            chapter = _chapters.pop(module, None)
            if chapter is not None:
                importlib.import_module(chapter)


__all__ = ["load_seen"]
