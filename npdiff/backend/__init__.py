"""Where a recorded graph runs: the contract of a backend, and the backends there are.

The layers, each importing only from those before it: contract, cpu, jax_equations, jax_rules, jax_lowering,
jax_executable, tpu, registry.
"""
