"""The subcommands of `headrace`, one module each."""
