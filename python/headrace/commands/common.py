"""What the subcommands share."""

import enum
import sys
from typing import Annotated

import typer


class Format(str, enum.Enum):
    text = "text"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for tools.")]

# Boxes and colours are for terminals; elsewhere, help is plain lines.
MARKUP = "rich" if sys.stdout.isatty() else None


def fail(error, code):
    """Ends the command with a message: 1 it failed, 2 it was used wrongly."""
    typer.echo(f"headrace: {error}", err=True)
    raise typer.Exit(code)
