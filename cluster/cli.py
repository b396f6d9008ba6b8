"""The command line: `twin COMMAND`. Its help imports nothing heavy.

One place maps names to modules, loaded when used, and one turns errors into a line and a status:
0 ok, 1 failed, 2 usage, 3 degraded, 4 not allowed.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from contextlib import suppress
from importlib import metadata
from typing import NamedTuple, NoReturn

import click

from cluster.errors_text import TEXTS
from twin.errors import Retryable, TwinError

FAILED, USAGE, DEGRADED, DENIED, INTERRUPTED = 1, 2, 3, 4, 130


class Entry(NamedTuple):
    """A command: its module in cluster.commands (named like it), and its line in the help."""

    summary: str
    extra: str  # what `pip install 'supply-twin[...]'` it needs besides the base


COMMANDS: dict[str, Entry] = {
    "up": Entry("Start the twin in the background and print its links.", "server"),
    "down": Entry("Stop it; no process and no open port is left.", "server"),
    "status": Entry("Mode, clock, shards, predictions; status 3 if degraded.", "server"),
    "doctor": Entry("Check machine and configuration, say what to mend.", "server"),
    "ingest": Entry("Offer the rows of a file as events, through a mapping.", "server"),
    "get": Entry("One twin: every value with its age, source and confidence.", "server"),
    "search": Entry("Twins whose state matches a condition.", "server"),
    "aggregate": Entry("Counts, sums and top groups over shards and regions.", "server"),
    "alerts": Entry("What needs a person, the worst first; acknowledge, assign.", "server"),
    "rules": Entry("What raises alerts: list, check, try on the history.", "server"),
    "impact": Entry("What a failing supplier, site or lane touches, and its worth.", "server"),
    "watch": Entry("Twins that match, then every change of them as it happens.", "server"),
    "sql": Entry("Read-only SQL over twins, their events and the quarantine.", "server"),
    "history": Entry("What happened to one twin, event by event.", "server"),
    "diff": Entry("What differs between two moments, of one twin or of many.", "server"),
    "when": Entry("Since when a condition holds of one twin, or until when.", "server"),
    "explain": Entry("Why a value is what it is: what decided it, and what lost.", "server"),
    "preview": Entry("What retracting an event would change; it retracts nothing.", "server"),
    "receipt": Entry("What became of an event.", "server"),
    "quarantine": Entry("Events parked because they break their contract.", "server"),
    "journal": Entry("Verify, show and measure the files that events are in.", "server"),
    "contracts": Entry("Export what events must say as JSON Schema; check changes.", "arrow"),
    "train": Entry("Fit the model of delays, beside its baseline.", "server,ml"),
    "predict": Entry("When shipments will arrive, and who says so.", "server"),
    "scenario": Entry("What if: futures of a live snapshot, disrupted or not.", "server,ml"),
    "bench": Entry("Measure this machine: ingest, queries, recovery, memory.", "server"),
    "drill": Entry("Break it on purpose: kill -9 shards under load, then count.", "server"),
    "token": Entry("Make a token for a client.", "server"),
    "error": Entry("What a code word means and what to do about it.", ""),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            module = importlib.import_module(f"cluster.commands.{cmd_name}")
        except ModuleNotFoundError as e:
            extra = COMMANDS[cmd_name].extra
            if not extra or (e.name or "").split(".")[0] in ("cluster", "serving", "twin"):
                raise
            raise click.ClickException(
                f"EXTRA_MISSING: {cmd_name} needs the package {e.name}. "
                f"Install it: pip install 'supply-twin[{extra}]'"
            ) from e
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "`twin --help` lists them"
            raise click.UsageError(f"there is no command {args[0]}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def _version(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given and not ctx.resilient_parsing:
        try:
            click.echo(f"twin {metadata.version('supply-twin')}")
        except metadata.PackageNotFoundError:
            click.echo("twin, not installed: run from a checkout")
        ctx.exit()


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Print it.",
)
def twin(verbose: bool) -> None:
    """A live, replayable twin of a supply chain, on this machine.

    Begin with `twin up --demo`, then `twin status`; `twin down` stops it.
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its status."""
    _leave(run(sys.argv[1:] if argv is None else argv))


def _leave(status: int) -> NoReturn:
    """End this process at once, with what it said said: a command leaves nothing to be done.

    As an interpreter is taken down its daemon threads die where they are, and one of grpc's within
    its C++ aborts the process: whoever reads the status would read that, now and then.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it was closed
            stream.flush()
    os._exit(status)


def run(words: list[str]) -> int:
    """Run one command; return its exit status. Errors are told on stderr."""
    try:
        status = twin.main(words, prog_name="twin", standalone_mode=False)
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.ClickException as e:
        e.show()
        return e.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except SystemExit:  # click's, for `twin search ... | head`: the reader has seen enough
        return 0
    except Exception as e:  # noqa: BLE001 - the process boundary: told, and the status says so
        if "-v" in words[:1] or "--verbose" in words[:1]:
            traceback.print_exception(e)
        click.echo(told(e), err=True)
        return status_of(e)
    return status if isinstance(status, int) else 0


def told(error: Exception) -> str:
    """Return `CODE: cause. remedy` of any error."""
    code, text = code_of(error), str(error)
    if code == "INTERNAL":
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {text} ({frame.filename}:{frame.lineno})"
    known = TEXTS.get(code)
    sentence = text.strip().rstrip(".")
    if known and not any(mark in sentence for mark in ("; ", ". ")):  # a cause without a remedy
        sentence += f". {known.remedy.rstrip('.')}"
    if isinstance(error, Retryable):
        sentence += f" (again in {error.retry_after:g} s)"
    return f"{code}: {sentence}" + ("" if sentence.endswith("?") else ".")


def code_of(error: Exception) -> str:
    """Return the code word of an error, of ours or of a gRPC call."""
    if isinstance(error, TwinError):
        return error.code
    status = getattr(error, "code", None)  # of a grpc.RpcError that no client of ours translated
    if callable(status) and type(error).__module__.startswith("grpc"):
        return str(status().name)
    return "INTERNAL"


def status_of(error: Exception) -> int:
    code = code_of(error)
    denied = code.startswith(("TOKEN_", "SCOPE_")) or code in (
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "TENANT_MISMATCH",
    )
    return DENIED if denied else FAILED


if __name__ == "__main__":
    main()
