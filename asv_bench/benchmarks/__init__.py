"""Benchmarks of npdiff, for asv and for asv_bench/compare.py."""
