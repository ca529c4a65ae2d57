"""Benchmarks and comparisons: `headrace bench`; README.md says what each one measures."""
