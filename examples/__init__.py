"""Models to learn from and to measure with: run them from the project's root."""
