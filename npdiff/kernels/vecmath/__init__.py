"""Vector math: exp, log, sin and their kin as branch-free code for any number of lanes.

Each function is written once, in terms of `lanes.Lanes`, for both float types and every width.
`library` names them and turns a use into a call. The constants come from
tools/vector_math_coefficients.py; docs/accuracy.md lists the largest errors found.
"""
