"""What `npdiff.jit` records and compiles, said through the logger "npdiff" while `npdiff.config.log_compiles` is on."""

from __future__ import annotations

from collections.abc import Callable

from npdiff import config


def log(text: Callable[[], str]) -> None:
    """Say something, worded only if it is listened to; as a warning, so that it shows where no logging is set up."""
    if config.log_compiles:
        import logging

        logging.getLogger("npdiff").warning(text())


__all__ = ["log"]
