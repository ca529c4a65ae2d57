"""Benchmarks of staging: `python bench/run.py`; README.md says what each one measures."""
