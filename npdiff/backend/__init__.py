"""Where a recorded graph runs: the contract of a backend, and the backends there are.

The layers, each importing only from those before it: contract, cpu, cuda_equations, cuda_indexing, cuda_linalg,
cuda_rules, cuda_gathers, cuda_device, cuda_schedule, cuda_executable, cuda_arrays, cuda, jax_equations, jax_rules,
jax_lowering, jax_executable, tpu, registry, where.
"""
