"""`tapedeck`: the one command. Verbs are loaded when they are called, so that help is quick."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from tapedeck.errors import TapedeckError, Unavailable, failed, infrastructure

VERBS = {
    "up": "servers", "down": "servers", "status": "servers", "doctor": "servers", "config": "config",
    "simulate": "simulate",
    "collect": "collect", "load": "collect", "tape": "collect", "quarantine": "quarantine",
    "write": "store", "read": "store", "store": "store",
    "cat": "log", "tail": "log", "topics": "topics",
    "replay": "jobs", "backfill": "jobs", "void": "jobs",
    "receipts": "jobs",
    "gaps": "checks", "reconcile": "checks", "findings": "findings",
    "baselines": "checks", "retention": "checks", "cross": "checks", "drill": "drill",
    "report": "report",
}  # fmt: skip
"""Each verb and the file of this folder that holds it."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"tapedeck.cli.{VERBS[name]}")
        command: click.Command = getattr(module, name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """The verb, quiet where the reader of its output has gone (click would exit with 1)."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapedeck")
def cli() -> None:
    """Records the market's tape, keeps it, checks it, and plays it back.

    \b
    Exit status: 0 fine · 1 finished and found something wrong with the data ·
    2 bad input, nothing done · 3 infrastructure failed, safe to run again.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit as DESIGN §9 says; every failure is one sentence on stderr."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status."""
    try:
        result: Any = cli.main(args=arguments, prog_name="tapedeck", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except TapedeckError as e:
        click.echo(f"tapedeck: {e}", err=True)
        return e.exit_code
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message())
        return 2
    except click.ClickException as e:
        context = getattr(e, "ctx", None)
        where = f" (see `{context.command_path} --help`)" if context else ""
        click.echo(f"tapedeck: {e.format_message()}{where}", err=True)
        return 2
    except infrastructure() as e:
        click.echo(f"tapedeck: {failed(e)}", err=True)
        return Unavailable.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
