"""Settings of the whole process: attributes of this module, set like any other.

Each begins as its environment variable says: ``NPDIFF_LOG_COMPILES=1``.
"""

from __future__ import annotations

import os


def _switched_on(name: str) -> bool:
    return os.environ.get(name, "0").lower() not in ("", "0", "off", "false", "no")


# Say through the logger "npdiff" what `npdiff.jit` records and compiles, why, and how long it took.
log_compiles: bool = _switched_on("NPDIFF_LOG_COMPILES")

__all__ = ["log_compiles"]
