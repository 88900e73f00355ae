"""A compiled graph as a picture: boxes around the equations that share a kernel, arrows for what moves through memory.

The text is DOT, the language of graphviz, which turns it into SVG, PDF or PNG where it is installed.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Sequence

from npdiff.avals import Aval
from npdiff.backend.contract import InSteps
from npdiff.errors import ArgumentError, message
from npdiff.graph import Equation, Literal, Var, namer, show_param
from npdiff.steps import Step, counted, nbytes, shortened, show_bytes, show_seconds

# Kernels of more equations than this are drawn as one box that lists them, and so are all in a larger graph:
# graphviz would take minutes.
MOST_EQUATIONS, MOST_IN_ALL = 40, 150
_PATIENCE = 60.0
_LISTED_WIDTH = 36
_MOST_LINES = 12
_FORMATS = ("svg", "pdf", "png")
# For each kind of step: the fill and the line.
_COLOURS = {
    "kernel": ("#eef4ff", "#3b6fb6"), "jax function": ("#eef4ff", "#3b6fb6"),
    "matrix kernel": ("#e8f6f8", "#2f8a9b"), "call": ("#fff4e5", "#c77d1e"),
    "write": ("#fdecef", "#c04a63"), "view": ("#f4f4f4", "#9a9a9a"), "value": ("#eaf6ec", "#3f8f54"),
    "CuPy": ("#eef9f1", "#4f9f64"),
}
_MEMORY = "#3b6fb6"
_HEAD = """digraph fusion {
  graph [fontname="Helvetica,Arial,sans-serif", fontsize=11, labeljust=l, labelloc=t, ranksep=0.35, nodesep=0.25,
         pad=0.3, bgcolor=white];
  node [fontname="Helvetica,Arial,sans-serif", fontsize=10, shape=box, style="rounded,filled", fillcolor=white,
        color="#b8c4d6", fontcolor="#1c2733", penwidth=1, height=0.28, margin="0.09,0.04"];
  edge [fontname="Helvetica,Arial,sans-serif", fontsize=8.5, fontcolor="#5a6572", color="#a9b4c2", arrowsize=0.55,
        penwidth=0.9];"""


class Picture:
    """What `jitted.picture(...)` gives: DOT text, and whatever graphviz makes of it.

    Attributes
    ----------
    dot
        The picture in the language of graphviz.
    """

    def __init__(self, dot: str) -> None:
        self.dot = dot

    def __str__(self) -> str:
        return self.dot

    def __repr__(self) -> str:
        return f"<picture in DOT, {len(self.dot.splitlines())} lines: save(file) draws it>"

    def svg(self) -> str:
        """The picture as SVG text; ArgumentError where graphviz is missing."""
        return self._drawn("svg").decode()

    def _repr_svg_(self) -> str | None:
        """For notebooks."""
        return self.svg() if shutil.which("dot") else None

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the picture into a file: DOT text (``.dot``, ``.gv``), or ``.svg``, ``.pdf``, ``.png`` by graphviz.

        Raises
        ------
        ArgumentError
            If the name ends in something else, or graphviz is needed and not installed.
        """
        kind = os.path.splitext(os.fspath(file))[1][1:].lower()
        if kind not in ("dot", "gv", *_FORMATS):
            raise ArgumentError(message(f"picture: a file cannot end in {kind!r}", os.fspath(file),
                                        instead="give a name that ends in .dot, .gv, .svg, .pdf or .png"))
        data = self.dot.encode() if kind in ("dot", "gv") else self._drawn(kind)
        with open(file, "wb") as out:
            out.write(data)

    def _drawn(self, kind: str) -> bytes:
        program = shutil.which("dot")
        if program is None:
            raise ArgumentError(message(
                f"picture: {kind} needs graphviz, whose program dot is not installed here",
                instead="install graphviz (apt install graphviz, brew install graphviz), or use the DOT text: "
                        "picture(...).dot, or a file that ends in .dot"))
        import subprocess

        instead = "use the DOT text with another program, or another layout of graphviz: picture(...).dot"
        try:
            done = subprocess.run([program, f"-T{kind}"], input=self.dot.encode(), capture_output=True, check=False,
                                  timeout=_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise ArgumentError(message(f"picture: graphviz is not done after {_PATIENCE:.0f} seconds",
                                        instead=instead)) from error
        if done.returncode:
            said = (done.stderr.decode(errors="replace").splitlines() or ["nothing"])[0]
            raise ArgumentError(message(f"picture: graphviz failed, saying {said!r}", instead=instead))
        return done.stdout


def draw(title: str, executable: InSteps, inputs: Sequence[str], outputs: Sequence[str],
         seconds: Sequence[float] | None) -> Picture:
    """The picture of an executable; `inputs` and `outputs` name the graph's, `seconds` are the times of its steps."""
    return Picture(_Drawing(executable, inputs, outputs, seconds).text(title))


class _Drawing:
    """The text of one picture."""

    def __init__(self, executable: InSteps, inputs: Sequence[str], outputs: Sequence[str],
                 seconds: Sequence[float] | None) -> None:
        self.graph, self.steps = executable.graph, executable.steps()
        self.inputs, self.outputs, self.seconds = inputs, outputs, seconds
        self.name = namer()
        self.lines: list[str] = []
        self.step_of = {id(eq): k for k, step in enumerate(self.steps) for eq in step.equations}
        self.maker = {v: eq for eq in self.graph.equations for v in eq.outputs}
        self.numbers = {id(eq): k for k, eq in enumerate(self.graph.equations)}
        self.known: dict[Var, str] = {}  # nodes of inputs and constants
        self.loads: set[str] = set()

    def text(self, title: str) -> str:
        """All of it."""
        graph = self.graph
        head = _lines([(title, 13, True), (self._summary(), 10, False)], "left")
        self.lines.append(f"  label=<{head}>;")
        if len(graph.equations) > MOST_IN_ALL:
            self.lines.append("  splines=line; nslimit=1; nslimit1=1; mclimit=0.1;")
        for k, v in enumerate(graph.inputs):
            label = self.inputs[k] if k < len(self.inputs) and self.inputs[k] else f"input {k}"
            self.known[v] = self._value(f"in{k}", label, v.aval)
        for k, v in enumerate(graph.constants):
            self.known[v] = self._value(f"constant{k}", "constant", v.aval)
        for eq in graph.equations:
            if id(eq) not in self.step_of:
                self._equation(eq, "  ", "view")
        for k, step in enumerate(self.steps):
            self._step(k, step)
        drawn: set[tuple[Var, str]] = set()
        for eq in graph.equations:
            for a in eq.inputs:
                if isinstance(a, Var) and (a, self._node(eq)) not in drawn:
                    drawn.add((a, self._node(eq)))
                    self._edge(a, self._node(eq), self.step_of.get(id(eq)))
        for k, a in enumerate(graph.outputs):
            label = self.outputs[k] if k < len(self.outputs) else f"written {k - len(self.outputs)}"
            node = self._value(f"out{k}", label, a.aval)
            if isinstance(a, Var):
                self._edge(a, node, None)
        return "\n".join([_HEAD, *self.lines, "}"]) + "\n"

    def _summary(self) -> str:
        kinds: dict[str, int] = {}
        for step in self.steps:
            kinds[step.kind] = kinds.get(step.kind, 0) + 1
        words = [counted(n, kind) for kind, n in kinds.items()]
        words.append(f"{show_bytes(sum(s.bytes for s in self.steps))} moved")
        if self.seconds is not None:
            words.append(f"{show_seconds(sum(self.seconds))}")
        return " · ".join(words)

    # ------------------------------------------------------------------ nodes

    def _value(self, node: str, label: str, a: Aval) -> str:
        size = f"{a!r}  {show_bytes(nbytes(a))}" if a.shape else f"{a!r}"
        self.lines.append(f"  {node} [{_colours('value')}, label=<{_lines([(label, 11, True), (size, 8, False)])}>];")
        return node

    def _node(self, eq: Equation) -> str:
        step = self.step_of.get(id(eq))
        if step is not None and not self._opened(self.steps[step]):
            return f"step{step}"
        return f"e{self.numbers[id(eq)]}"

    def _opened(self, step: Step) -> bool:
        """Whether the equations of a step are drawn one by one."""
        return step.compiled and len(step.equations) <= MOST_EQUATIONS and len(self.graph.equations) <= MOST_IN_ALL

    def _equation(self, eq: Equation, indent: str, kind: str = "") -> None:
        operands = [f"{a.value!s:.12}" for a in eq.inputs if isinstance(a, Literal)]
        given = [f"{key}={show_param(value)}" for key, value in eq.params.items() if key != "keepdims"]
        label = [(eq.prim.name + "".join(f" {o}" for o in operands), 10, False)]
        label += [(shortened(", ".join(given), _LISTED_WIDTH), 8, False)] if given else []
        self.lines.append(f"{indent}{self._node(eq)} [{_colours(kind) + ', ' if kind else ''}label=<{_lines(label)}>];")

    def _step(self, k: int, step: Step) -> None:
        words = []
        if step.space:
            words.append("x".join(f"{n:,}" for n in step.space) + " points")
        words += [f"{show_bytes(step.bytes)}"] if step.bytes else []
        words += [step.vector] if step.vector else []
        words += [f"{step.threads} threads"] if step.threads > 1 else []
        words += [show_seconds(self.seconds[k])] if self.seconds is not None else []
        about = " · ".join(words)
        width = f"penwidth={1.2 + 2 * self._share(k):.1f}"
        if self._opened(step):
            self.lines.append(f"  subgraph cluster{k} {{")
            head = _lines([(f"{step.kind} {k}", 11, True), (about, 9, False)], "left")
            self.lines.append(f"    style=\"rounded,filled\"; {_colours(step.kind, '; ')}; {width}; margin=10; "
                              f"label=<{head}>;")
            for eq in step.equations:
                self._equation(eq, "    ")
            self.lines.append("  }")
            return
        label = [(f"{step.kind} {k}", 11, True)] if step.compiled else [(step.names, 11, True)]
        if step.compiled:
            label += [(line, 9, False) for line in _wrapped(step.names)]
        elif step.equations and step.equations[0].params:
            given = [f"{key}={show_param(value)}" for key, value in step.equations[0].params.items()]
            label.append((shortened(", ".join(given), _LISTED_WIDTH), 8, False))
        what = {"call": "NumPy", "write": "in place"}.get(step.kind, "")
        label += [(" · ".join(filter(None, [what, about])), 8, False)] if what or about else []
        label += [(line, 8, False) for line in _wrapped(step.note)] if step.note else []
        self.lines.append(f"  step{k} [{_colours(step.kind)}, {width}, label=<{_lines(label)}>];")

    def _share(self, k: int) -> float:
        total = sum(self.seconds) if self.seconds is not None else 0.0
        return self.seconds[k] / total if self.seconds is not None and total else 0.0

    # ------------------------------------------------------------------ arrows

    def _edge(self, a: Var, to: str, step: int | None) -> None:
        """An arrow to a node in this step; one that leads into a kernel from outside ends at its load."""
        eq = self.maker.get(a)
        source = self.known[a] if eq is None else self._node(eq)
        before = None if eq is None else self.step_of.get(id(eq))
        if source == to:
            return
        if step is not None and before == step:
            self.lines.append(f"  {source} -> {to};")
            return
        through = ""
        if step is not None and self._opened(self.steps[step]) and a.aval.shape:
            node = f"load{step}_{source}_{eq.outputs.index(a) if eq is not None else 0}"
            if node not in self.loads:
                self.loads.add(node)
                point = f'{node} [shape=point, width=0.07, color="{_MEMORY}", fillcolor="{_MEMORY}"];'
                self.lines.append(f"  subgraph cluster{step} {{ {point} }}")
                through = node
            else:
                self.lines.append(f"  {node} -> {to};")
                return
        memory = f'color="{_MEMORY}", penwidth={_thickness(a.aval):.1f}' if a.aval.shape else "style=dashed"
        label = f", label=<{_lines([(f'  {a.aval!r}  {show_bytes(nbytes(a.aval))}', 8, False)])}>" if (
            eq is not None and a.aval.shape and not to.startswith("out")) else ""
        self.lines.append(f"  {source} -> {through or to} [{memory}{label}{', arrowhead=none' if through else ''}];")
        if through:
            self.lines.append(f"  {through} -> {to};")


def _thickness(a: Aval) -> float:
    """More for what moves more: a step for each factor of ten above a kilobyte."""
    return 1.2 + 0.5 * max(0, len(str(nbytes(a))) - 3)


def _colours(kind: str, between: str = ", ") -> str:
    inside, around = _COLOURS[kind]
    return f'fillcolor="{inside}"{between}color="{around}"'


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _LISTED_WIDTH)[:_MOST_LINES]


def _lines(parts: Sequence[tuple[str, int, bool]], align: str = "center") -> str:
    """An HTML-like label: lines of text, each with a size and whether it is bold."""
    rows = []
    for text, size, bold in parts:
        inside = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        inside = f'<font point-size="{size}">{f"<b>{inside}</b>" if bold else inside}</font>'
        rows.append(f'<tr><td align="{align}">{inside}</td></tr>')
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>'


__all__ = ["MOST_EQUATIONS", "Picture", "draw"]
