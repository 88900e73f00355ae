"""What random programs are made of: templates of expressions and statements."""

from __future__ import annotations

UNARY = (
    "np.sin({})", "np.cos({})", "np.tanh({})", "np.exp(-np.abs({}))", "np.sqrt(1 + {0} * {0})", "np.square({})",
    "-{}", "abs({})", "np.arctan({})", "np.log(2 + np.cos({}))", "{} ** 2", "{} / 3", "1 / (2 + {0} * {0})",
    "np.maximum({}, 0.1)", "np.sign({})", "np.floor({})", "+{}", "{}.copy()", "np.exp({}) * 0.1", "np.sinc({})",
    "np.real({})", "np.conj({})", "np.cbrt(3 + np.sin({}))", "np.float64(2) * {}", "{} * np.pi", "1j * {}",
    "{}.astype(np.float32)", "np.abs({})", "np.hypot({}, 1.5)", "np.clip({}, -0.6, 0.9)", "np.nan_to_num({})",
    "{} % 0.7", "{} // 0.7", "2 ** {}", "{}.round(2)", "{}.conj().imag", "{}.real", "np.float32(0.5) * {}",
    "({0} > 0.2) & ({0} < 1)", "({}).astype(int)", "{}.clip(0, 1)", "{} ** -1.0", "np.array({}, ndmin=2)",
)
BINARY = (
    "{} + {}", "{} - {}", "{} * {}", "{} / (2 + np.cos({}))", "np.maximum({}, {})", "np.minimum({}, {})",
    "np.where({0} > 0, {0}, {1})", "np.where({1} > 0.2, {0}, 0)", "np.arctan2({}, 2 + np.cos({}))",
    "np.hypot({}, {})", "np.add({}, {})", "np.logaddexp({}, {})", "({0} > {1}) * {0}", "np.copysign({}, {})",
    "np.heaviside({0}, 0.5) * {1}", "np.multiply({0}, {1}, where={0} > 0, out=np.zeros_like({0} * {1}))",
    "{0} @ {1}", "({0} * {0} + 0.5) ** {1}", "{} % (abs({}) + 0.5)", "np.add({}, {}, dtype=complex)",
    "np.multiply({}, {}, dtype=np.float32)", "np.subtract({0}, {1}, out=np.zeros(np.shape({0} - {1})))",
    "({0} == {1}) | ({0} < {1})", "divmod({}, abs({}) + 1)[1]", "max({}, {})", "[{}, {}][1]",
)
WHOLE = (
    "np.sum({})", "{}.sum(axis=0)", "np.sum({}, axis=-1, keepdims=True)", "np.max({})", "np.min({}, axis=0)",
    "{}.mean(axis=-1)", "np.cumsum({}, axis=0)", "np.prod({}, axis=-1)", "{}[::-1]", "{}.T", "{}.ravel()",
    "{}.reshape(-1)", "np.var({})", "{}.std(axis=0)", "np.concatenate([{0}, {0}])", "np.stack([{0}, 2 * {0}])",
    "np.linalg.norm({})", "np.squeeze({})", "{}.flatten()", "np.dot({0}, {0}.T)", "np.outer({0}, {0})",
    "np.einsum('i...,i...->...', {0}, {0})", "{}.swapaxes(0, -1)", "{}.repeat(2, axis=0)", "{}.cumprod(axis=-1)",
    "{0}.argmax() * {0}", "{0}[np.argsort({0}.ravel())[0] % len({0})]", "np.array([{0}, {0}])",
    "np.broadcast_to({0}, (2,) + {0}.shape)", "{0}.dot({0}.T)", "{0}[:, None] * {0}", "{0}[{0} > 0.1]",
    "{0}[np.nonzero({0})]", "{0}[..., -1]", "{0}[None, ::2]", "np.split({}, [1])[1]", "{}.diagonal()",
    "np.max({}, axis=-1, keepdims=True)", "np.meshgrid({0}, {0})[0]", "sum({})", "max({0}.ravel())", "{}.trace()",
    "np.interp(0.3, np.arange({0}.size), {0}.ravel())", "np.convolve({0}, {0})", "{}.all()", "{}.any(axis=0)",
    "{0}[[i for i in range(len({0})) if i != 1]]", "np.array([np.sum(r) for r in {}])", "list({})[0]", "{}.nonzero()[0]",
    "np.array([r * 2 for r in {}])", "np.array([a * b for a, b in zip({0}, {0}[::-1])])", "np.r_[{0}, {0}]",
    "np.c_[{0}, {0}]", "{0}.take([0, -1])", "{0}.take([[0, 1], [1, 0]], axis=-1)", "{}.compress([True, False], axis=0)",
    "{}.flat[1:3]", "{}.flat[0]", "{}.item(0)", "{}.tolist()[0]", "{}.view()", "{}.min(axis=-1)", "{}.argsort()",
    "{0}.searchsorted(0.1)", "np.vectorize(lambda t: t * t)({})", "np.moveaxis({}, 0, -1)", "{0}.transpose()[0]",
    "np.lib.stride_tricks.sliding_window_view({0}, 2, axis=0)", "np.ptp({}, axis=0)", "{}.T.reshape(-1)",
    "{}.ravel(order='F')", "{}.reshape(-1, order='F')", "{}.reshape(1, -1)", "{}.squeeze()", "{}.var(ddof=1)",
    "{0}[np.ix_([0, -1])]", "np.asarray({})", "np.array({}, copy=True)", "{}.astype(complex)", "{0}.size * {0}",
    "{0} * {0}.shape[0]", "{}.argmin(axis=0)", "{0}.max(axis=0, initial=0.1)", "np.array_split({}, 2)[0]",
    "(lambda a, *b: a)(*{})", "np.add.reduce({}, axis=0)", "np.median({})", "np.diag({})", "np.sort({}, axis=None)",
)
OPERATORS = ("+=", "-=", "*=", "/=", "=", "=", "=", "**=")
FULL_OPERATORS = ("+=", "-=", "*=")
SCALARS = ("0.5", "2", "-1.25", "3.0", "True", "np.float64(0.7)", "np.pi", "s", "np.float32(0.3)", "np.int64(2)",
           "(0.5 + 0.25j)", "np.array(0.4)", "[0.5]")

# {a}: an array of at least one axis; {b}: another variable; {e}: an expression; {i}: an index for {a}; {new}: a fresh
# name; {o}: an in-place operator; {k}: a number.
STATEMENTS = (
    "np.sin({b}, out={a})", "np.multiply({b}, {a}, out={a})", "np.add({a}, 1, {a})", "np.copyto({a}, {b})",
    "np.exp({a}, out={a}, where={a} < 0)", "np.cumsum({a}, axis=0, out={a})", "np.clip({a}, -0.8, 0.8, out={a})",
    "np.copyto({a}, {e}, where={a} > 0)", "np.matmul({a}, {a}, out={a})", "np.sum({a}, axis=0, out={a}[0])",
    "np.maximum({a}, {b}, out={a}[{i}])", "{new} = np.sin({b}, out={a})", "np.add({a}[1:], {a}[:-1], out={a}[1:])",
    "np.add.at({a}, [0, 0, -1], {e})", "np.multiply.at({a}, [0, 0], 0.5)", "np.subtract.at({a}, {a} > 0, {k})",
    "for i in range(len({a})):\n    {a}[i] {o} {e}", "for i in range(1, len({a})):\n    {a}[i] = {a}[i - 1] * 0.5 + {e}",
    "for i in range(1, len({a})):\n    {a}[i, i:] *= {b}", "for i in range(len({a})):\n    {a}[:i] += {a}[-1]",
    "for r in {a}:\n    r *= 2", "for r in {a}:\n    r += {e}", "for i, r in enumerate({a}):\n    {a}[i] = r * i",
    "for r, t in zip({a}, {b}):\n    r -= t", "for r in {a}.T:\n    r[0] = 0.5",
    "{new} = 0\nfor r in {a}:\n    {new} = {new} + r * r", "{new} = []\nfor r in {a}:\n    {new}.append(r * {b})",
    "while np.sum({a} * {a}) > 4:\n    {a} *= 0.5", "i = 0\nwhile i < 3 and np.max({a}) < 2:\n    {a} += 0.5\n    i += 1",
    "if np.sum({a}) > 0.1:\n    {a}[0] = {e}\nelse:\n    {a} *= {b}", "if {a}.ndim > 1 and {a}[0, 0] > 0:\n    s = -s",
    "if np.any({a} > 0.4):\n    {new} = {e}\nelse:\n    {new} = {a}", "if isinstance({a}, np.ndarray):\n    {new} = {a} * 2",
    "if abs(s) > 0.7:\n    {new} = {a}\nelse:\n    {new} = {a}.copy()", "{new} = {a} if {a}.size > 3 else {b}",
    "try:\n    {a}[99] = {b}\nexcept IndexError:\n    s = s * 2", "try:\n    {new} = {a} + np.ones(7)\nexcept ValueError:\n"
    "    {new} = {b}", "try:\n    {new} = {e}\nfinally:\n    {a}[{i}] = {k}", "assert np.all({a} == {a})",
    "{a}.sort()", "{a}.sort(axis=0)", "{a}.fill({e})", "{a}.flat[1] = {e}", "{a}.flat[::2] = 0.5", "{a}.partition(1)",
    "np.fill_diagonal({a}, s)", "{a}.real = {e}", "{a}.T[0] = {e}", "np.put({a}, [0, -1], {e})", "{a}.flat = {b}",
    "{a}.reshape(-1)[0] = {e}", "{a}.imag *= 0.5", "np.putmask({a}, {a} < 0, 0.1)", "{a}.ravel()[1:] += 1",
    "np.place({a}, {a} > 0.3, [0.5, {b}])", "np.put_along_axis({a}, np.argmax({a}, axis=-1, keepdims=True), {k}, -1)",
    "{a}.put([0, 1], {b})", "{a}[...], s = {e}, s * 2", "{a}[0], {a}[-1] = {a}[-1], {a}[0]", "{a}[0] = {a}[-1] = {e}",
    "{a}[[0, -1]] = {a}[[-1, 0]]", "{a}[::-1] += {a}", "{a}[{i}] = {a}[{i}] * 2", "{a}[{a} > {k}] = {e}",
    "{a}[{a} > {b}] {o} {k}", "{a}[1:][{a}[1:] < 0] = 0", "{a}[:, 0][1:] = {e}", "{a}[np.where({a} > 0)] *= {k}",
    "{new} = {a}[1:]\n{new}[{new} > 0] {o} {e}", "{new} = {a}.T\n{new} {o} {e}", "{new} = {a}.reshape(-1)\n{new}[0] = {e}",
    "{new} = {a}[{i}]\n{a} {o} {k}", "{new} = {a}.ravel()\n{a}[0] {o} {e}", "{new} = {a}.view()\n{new}[{i}] = {e}",
    "{new} = np.broadcast_to({a}, {a}.shape)\n{a}[0] = {k}", "{new} = {a}.diagonal()\n{a} {o} {k}",
    "{new} = np.asarray({a})\n{new}[0] = {e}", "{new} = {a}.squeeze()\n{new} {o} {k}", "{new} = {a}.real\n{new} {o} 0.5",
    "{new} = np.expand_dims({a}, 0)\n{new}[0] = {e}", "{new} = list({a})\n{new}[0] *= 2", "{new} = {a}\n{new} {o} {b}",
    "{new} = np.split({a}, 2)\n{new}[0][...] = {e}", "{new} = np.atleast_2d({a})\n{new} *= {k}",
    "{new} = np.rot90({a})\n{new}[0] = {k}", "{new} = np.swapaxes({a}, 0, -1)[1:]\n{new}[0] {o} {e}",
    "{new} = np.zeros_like({a})", "{new} = np.empty_like({a}); {new}[...] = {a}", "{new} = np.array([{b}, {b}])",
    "{new} = [{a}, s][0]", "{new} = np.array({a}, dtype=complex)", "{new} = {a}.astype(int) * s", "s = s * abs(s)",
    "s = {a}.sum()", "s = s * {k}", "{new} = np.full({a}.shape, {b})", "{new} = np.zeros(len({a}))\n{new}[:] = {e}",
    "{new} = np.zeros(2 * len({a}))\n{new}[::2] = {a}\n{new}[1:-1] += {e}", "{new} = np.ones(({a}.size, 2))",
    "{new} = np.zeros({a}.shape, complex)\n{new}.imag = {e}", "{new} = np.empty(3)\nfor i in range(3):\n    {new}[i] = {e}",
    "{new} = np.zeros({a}.shape)\nnp.add({a}, {b}, out={new})", "{new} = np.zeros({a}.shape, int)\n{new}[...] = {a} > 0",
    "{new} = {{'a': {a}, 'b': ({b}, {a}[{i}])}}", "{new} = ({a}, {b}, {k})", "{new} = [{a}, [{b}]]",
    "{new} = {{k: {a} * k for k in (1, 2)}}", "{new} = [t * {b} for t in {a}]", "{new}, *_ = {a}",
    "{new} = sum([t * t for t in {a}.flat])", "{new} = dict(a={a}, b=[])\n{new}['b'].append({b})",
    "def g(t, k=2):\n    return t * k + {a}\n{new} = g({b}, k={k})", "g = lambda t: np.sum(t * {a})\n{new} = g({e})",
    "def g(t):\n    t[0] = {k}\n    return t\n{new} = g({a})", "def g(t, n):\n    return t if n == 0 else g(np.sin(t), n - 1)\n"
    "{new} = g({a}, 3)", "def g():\n    for r in {a}:\n        yield r * {b}\n{new} = list(g())",
    "with np.errstate(all='ignore'):\n    {new} = {e}", "x = {e}", "{a} = {a} * {b}", "{new} = s\ns += {k}",
    "del s\ns = np.sum({a})", "{new} = {a}.copy()\n{a}[...] = 0\n{a} += {new}", "{new} = y\ny = x\nx = {new}",
    "{new} = [np.sum(r) for r in {a}]\n{new}.sort()" , "{new} = sorted([np.sum(r) for r in {a}])",
    "{new} = np.nditer({a}).itersize", "for i in np.ndindex(*{a}.shape):\n    {a}[i] {o} {k}",
    "for i, t in np.ndenumerate({a}):\n    {a}[i] = t * 2", "{new} = np.sum({a}, where={a} > 0)",
    "np.random.seed(1)\n{new} = {a} * np.random.rand(*{a}.shape)", "np.random.seed(2)\n{a} += np.random.normal()",
    "{new} = np.random.default_rng(3).permutation(len({a}))\n{new} = {a}[{new}]",
)
