"""A recording in words: its graph, which equations share a kernel, and what each step moves, computes and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from npdiff.backend.contract import InSteps
from npdiff.graph import Atom, Var, namer, show_equation
from npdiff.profiling import Profile
from npdiff.replay import Recording
from npdiff.steps import Step, shortened, show_bytes, show_count, show_seconds, table

_NAMES_WIDTH, _EQUATION_WIDTH = 40, 60


def explain_recording(made: Recording, argument_names: Sequence[str], profile: Profile | None) -> list[str]:
    """The lines about one recording; `profile` holds the times of its steps, if they were measured."""
    lines = ["  " + line for line in repr(made.graph).splitlines()]
    if made.environment.labels:
        lines.append("  arrays read from outside: " + ", ".join(made.environment.labels))
    for eq in made.graph.equations:
        if eq.prim.name.startswith("guard"):
            where = f" at {eq.source[0]}:{eq.source[1]}" if eq.source else ""
            if "error" in eq.params:
                lines.append(f"  guard: {eq.params['prim'].name}{where} raises {eq.params['error'].__name__}")
            else:
                lines.append(f"  guard: the value asked for{where} is {eq.params['expected']!r}")
    if made.writes:
        lines.append(f"  writes into input(s) {made.writes}")
    program = made.compiled()
    executable = program.prepare()
    if program.failure:
        lines.append("  " + program.failure)
    if isinstance(executable, InSteps):
        labels = [*argument_names, *made.environment.labels]
        lines += ["", *["  " + line for line in groups(executable, labels)]]
        lines += ["", *["  " + line for line in steps_table(executable.steps(), profile)]]
    else:
        lines += ["", "  this backend does not show its steps one by one"]
    return [*lines, "", *["  " + line for line in executable.explain().splitlines()]]


def groups(executable: InSteps, labels: Sequence[str]) -> list[str]:
    """The compiled graph with the number of the step that each equation is computed in."""
    graph = executable.graph
    at = {id(eq): k for k, step in enumerate(executable.steps()) for eq in step.equations}
    name = namer()
    rows = [("", _typed(v, name), "=", f"input {label}".rstrip(), "")
            for v, label in zip(graph.inputs, [*labels, *[""] * len(graph.inputs)], strict=False)]
    rows += [("", _typed(v, name), "=", "constant", "") for v in graph.constants]
    for eq in graph.equations:
        step = at.get(id(eq))
        left = ", ".join([_typed(v, name) for v in eq.outputs])
        where = f"# {eq.source[0]}:{eq.source[1]}" if eq.source else ""
        rows.append(("in readers" if step is None else str(step), left, "=" if left else "",
                     shortened(show_equation(eq, name), _EQUATION_WIDTH), where))
    rows.append(("", "return", "", ", ".join([name(a) for a in graph.outputs]), ""))
    return ["step by step (the same number: one kernel):", *["  " + r for r in table(rows, left=(1, 2, 3, 4), gap=" ")]]


def _typed(a: Atom, name: Callable[[Atom], str]) -> str:
    return f"{name(a)}:{a.aval!r}" if isinstance(a, Var) else name(a)


def steps_table(steps: Sequence[Step], profile: Profile | None) -> list[str]:
    """One line per step: what it moves and computes, how it is vectorised and shared, what it was to take and takes."""
    rows = [("#", "step", "computes", "points", "read", "written", "ops", "vectors", "threads", "estimated",
             "measured", "share")]
    for k, s in enumerate(steps):
        time = profile.steps[k] if profile is not None else None
        points = "x".join(map(str, s.space)) if s.space else "1" if s.kind == "kernel" else "-"
        rows.append((
            str(k), s.kind, shortened(s.names, _NAMES_WIDTH), points, show_bytes(s.read) if s.bytes else "-",
            show_bytes(s.written) if s.bytes else "-", show_count(s.operations) if s.operations else "-",
            s.vector or ("none" if s.kind == "kernel" else "-"), str(s.threads) if s.threads else "-",
            show_seconds(s.estimate) if s.estimate is not None else "-",
            show_seconds(time.seconds) if time is not None else "-",
            f"{100 * time.share:.0f} %" if time is not None else "-"))
    lines = table(rows, left=(1, 2, 7))
    if profile is None:
        lines.append("not measured: these arguments take another path")
    else:
        lines.append(f"one run: {show_seconds(profile.seconds)}, of which {show_seconds(profile.between)} between the "
                     f"steps; median of {profile.runs}")
    return lines


__all__ = ["explain_recording", "groups", "steps_table"]
