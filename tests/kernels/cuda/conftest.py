"""The kernel tests' helpers, and those of this folder, are importable whichever folder pytest starts in."""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(__file__)
sys.path[:0] = [HERE, os.path.dirname(HERE)]
