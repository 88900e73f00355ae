"""Transforms: interpreters that give primitives another meaning."""
