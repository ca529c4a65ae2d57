"""The package's version; CMakeLists.txt and pyproject.toml say the same (a test compares them)."""

__version__ = "0.1.0"
