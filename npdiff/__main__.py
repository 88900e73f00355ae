"""``python -m npdiff demo``, ``info`` and ``coverage``."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence


def positive(text: str) -> int:
    """A whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m npdiff", description=sys.modules["npdiff"].__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="fit a line, train a network, print a trace")
    demo.add_argument("--steps", type=positive, default=1000, help="training steps of the network (default: 1000)")
    demo.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), metavar="DIR",
                      help="folder for the picture (default: the current one)")
    commands.add_parser("info", help="versions, CPU features, and whether NumPy's BLAS suits this CPU")
    table = commands.add_parser("coverage", help="what npdiff does with a NumPy function, or with all of them")
    table.add_argument("name", nargs="?", help="a function: sin, np.linalg.inv, linalg.inv, ndarray.sum")
    table.add_argument("--write", type=pathlib.Path, metavar="DIR", help="write the pages made from the rows into DIR")
    chosen = parser.parse_args(argv)
    if chosen.command == "demo":
        from npdiff import demo as part

        return part.main(chosen.steps, chosen.out)
    if chosen.command == "coverage":
        from npdiff import coverage, pages

        if chosen.write is not None:
            pages.write(chosen.write)
            return 0
        return coverage.main(chosen.name)
    from npdiff import info

    return info.main()


if __name__ == "__main__":
    sys.exit(main())
