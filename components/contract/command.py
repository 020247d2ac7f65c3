"""The command line of a step, made from its declaration."""

import argparse
import atexit
import contextlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from components.contract import ending
from components.contract.declaration import NONE, Component, Parameters, did_you_mean, flag
from components.contract.errors import BadInput, StepError, Terminated, of_the_machine
from components.contract.terminal import show_in_any_encoding

TERMINATION_LOG = Path("/dev/termination-log")

_EPILOG = """\
Each input and output is a path, or an s3://bucket/prefix in the store that AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY name. Exit codes: 1 the work failed, 2 bad input, 3 the store refused, 4 the store is
unavailable (worth another try), 5 what was found blocks what would come next, 130 interrupted, 143 terminated."""


class Parser(argparse.ArgumentParser):
    """An argument parser that names the nearest right flag for a wrong one, and raises `BadInput`."""

    def __init__(self, **arguments: Any) -> None:
        # No abbreviations: `--epoch` would be accepted today and mean something else tomorrow.
        arguments |= {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**arguments)

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that every bad input ends in the same way."""
        if unknown := re.match(r"unrecognized arguments: (\S+)", message):
            given = unknown[1].partition("=")[0]
            raise BadInput(f"unrecognized argument {given}{did_you_mean(given, self._option_string_actions)}")
        raise BadInput(f"{message}; see --help")


def add_parameters(
    group: argparse._ArgumentGroup, parameters: type[Parameters], leave_out: Collection[str] = ()
) -> None:
    """Add a flag for each parameter but those to `leave_out`; values stay text, for the declaration to check."""
    for name, field in parameters.model_fields.items():
        if name in leave_out:
            continue
        choices = parameters.choices(name)
        options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        shown = "" if field.default == "" else f" (default: {field.default})"
        if choices:
            options["metavar"] = "|".join(choices)
        elif several := parameters.several(name):
            options["metavar"] = f"{NONE}|{'|'.join(several)},…"
        elif field.annotation is not bool:
            options["metavar"] = {int: "INT", float: "NUMBER"}.get(field.annotation, "TEXT")  # type: ignore[arg-type]
        options["help"] = f"{field.description}{shown}".replace("%", "%%")
        if field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        group.add_argument(flag(name), **options)


def parser_of(component: Component) -> Parser:
    """Return the parser of the step's command line."""
    parser = Parser(prog=f"python -m components.{component.name}", description=component.help, epilog=_EPILOG)
    parser.add_argument("--executor-input", metavar="JSON|@FILE", help="Kubeflow's executor input, instead of all else")
    switch: dict[str, Any] = {"action": "store_true", "default": argparse.SUPPRESS}
    if component.check:
        parser.add_argument("--check", help="only look whether it could be done, and make nothing", **switch)
    parser.add_argument("-v", "--verbose", help="show where in the code an error comes from", **switch)
    for title, items in (("inputs", component.inputs), ("outputs", component.outputs)):
        if items:
            group = parser.add_argument_group(title)
            for item in items:
                text = item.help + (" (optional)" if getattr(item, "optional", False) else "")
                group.add_argument(
                    flag(item.name), dest=item.name, metavar="LOCATION", help=text, default=argparse.SUPPRESS
                )
    add_parameters(parser.add_argument_group("parameters"), component.parameters)
    return parser


def main(component: Component, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the step from the command line and exit."""
    given = sys.argv[1:] if arguments is None else arguments
    verbose = bool({"-v", "--verbose", "--eager"} & set(given))
    kubeflow = any(argument.startswith("--executor-input") for argument in given)
    guard(component.name, lambda: _run(component, arguments), verbose=verbose, kubeflow=kubeflow)


def guard(name: str, function: Callable[[], None], *, verbose: bool = False, kubeflow: bool = False) -> NoReturn:
    """Call `function` and exit: with 0, or with the failure's sentence on standard error and its exit code.

    If it is to be verbose, where the failure comes from follows the sentence. For `kubeflow` every line of it has the
    word error, since the page of a log marks such lines there.
    """
    show_in_any_encoding()
    ending.listen()
    try:
        function()
        print(end="", flush=True)
        code = 0
    except (Exception, Terminated) as failure:
        error = ending.raised() or failure  # of which compiled code may have made another error
        if isinstance(error, Terminated):
            print(f"{name}: {error}", file=sys.stderr)
            code = error.exit_code
        elif isinstance(error, StepError):
            _say(name, "; ".join([str(error), *getattr(error, "__notes__", ())]), kubeflow=kubeflow)
            if verbose:
                traceback.print_exception(error)
            code = error.exit_code
        elif isinstance(error, BrokenPipeError):  # who read the output has seen enough, as with `| head`
            code = 128 + signal.SIGPIPE
        elif sentence := of_the_machine(error):
            _say(name, sentence, kubeflow=kubeflow)
            code = 1
        else:
            raise
    atexit._run_exitfuncs()  # noqa: SLF001 - libraries remove their temporary files there, and os._exit would not
    with contextlib.suppress(OSError, AttributeError):  # what can still be written; a stream that was closed is None
        sys.stdout.flush()
        sys.stderr.flush()
    # All is published or cleaned up by now; threads of a transfer or of TensorFlow must not hold the process.
    os._exit(code)


def _run(component: Component, arguments: Sequence[str] | None) -> None:
    given = vars(parser_of(component).parse_args(arguments))
    executor_input = given.pop("executor_input")
    given.pop("verbose", None)  # it is looked at before the arguments are read
    check = given.pop("check", False)
    if executor_input is not None and given:
        raise BadInput(f"--executor-input says everything; leave out {flag(next(iter(given)))}")
    from components.contract import run as runs  # noqa: PLC0415 - --help must not wait for the S3 client

    if executor_input is not None:
        runs.run_for_kubeflow(component, executor_input)
        return
    inputs = {item.name: given.pop(item.name) for item in component.inputs if item.name in given}
    outputs = {item.name: given.pop(item.name) for item in component.outputs if item.name in given}
    parameters = component.parameters.checked(given)
    if check:
        runs.check(component, parameters, inputs)
    else:
        runs.run(component, parameters, inputs, outputs)


def _say(name: str, text: str, *, kubeflow: bool) -> None:
    """Print a failure's sentence, and leave it where Kubernetes looks for it, to stand with the state of the pod.

    https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
    """
    mark = f"{name}: error: " if kubeflow else f"{name}: "
    sentence = mark + text.replace("\n", f"\n{mark}" if kubeflow else "\n")
    print(sentence, file=sys.stderr)
    if TERMINATION_LOG.is_file():
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_text(sentence[:4000], encoding="utf-8")
