"""Drop-in modules for programs written for other systems."""
