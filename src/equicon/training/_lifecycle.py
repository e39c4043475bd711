"""The life of a run: begin or resume, train, report, and say why if it ends early."""

import argparse
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from equicon._extra import need
from equicon.data import CorruptImage
from equicon.data._files import write_text
from equicon.training._checkpoints import Checkpoints, Stop, size_of
from equicon.training._journal import Journal, NotFiniteError
from equicon.training._options import arguments_text
from equicon.training._ranks import Ranks, joined
from equicon.training._stdout import escape_stdout
from equicon.training._training import D, Training, WeightsError


def launch(
    kind: type[Training[Any]], parse_args: Callable[[Sequence[str]], argparse.Namespace], argv: Sequence[str] | None
) -> None:
    """Run a program from its command line, alone or as one of the ranks that ``torchrun`` started.

    It writes ``result.json``, ``arguments.json``, ``checkpoints/`` and ``tensorboard/`` to ``--out``. The hooks of the
    run may write more.

    Args:
        kind: The class of the run.
        parse_args: Reads the options. A rank that was started again also gets ``--resume`` and ``--out``.
        argv: The words of the command line. None takes those of the running program.

    Raises:
        SystemExit: If the run ends early. It carries a message that says what is wrong and what to do, or 128 + the
            number of the signal that stopped the run.

    Examples:
        >>> launch(Regress, parse_args, None)  # doctest: +SKIP
    """
    escape_stdout()
    with interruptible(), joined() as ranks:
        try:
            need("tqdm", "tensorboard")  # before time is spent
        except ModuleNotFoundError as error:
            sys.exit(str(error))
        words = [*(sys.argv[1:] if argv is None else argv)]
        if ranks.restarted:  # --resume alone could choose the folder of an earlier run
            words += ["--resume", "--out", ranks.restarted]
        args = ranks.of_first(lambda: parse_args(words))
        args.device = ranks.device(args.device)
        checkpoints = Checkpoints(args.out / "checkpoints", args.keep)
        conclude(lambda: live(kind(args, checkpoints, ranks)), checkpoints, ranks)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a program with the code 130 and a short message, without a traceback.

    Inside the ``with`` block, this replaces any other handler of ``SIGINT``, such as the one of a script during its
    imports.

    Raises:
        SystemExit: In place of ``KeyboardInterrupt``.

    Examples:
        >>> try:
        ...     with interruptible(): raise KeyboardInterrupt
        ... except SystemExit as ended: print(ended.code)
        130
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def live(run: Training[Any]) -> None:
    train(run, begin(run))
    if run.ranks.first:
        report(run)


def begin(run: Training[Any]) -> dict[str, int] | None:
    """Check everything that can be checked before time is spent, and restore a run that is resumed.

    Returns:
        What the checkpoint holds of the journal; None without a checkpoint. The rest of the checkpoint is not kept in
        memory.
    """
    ranks = run.ranks
    saved = ranks.of_first(lambda: open_folder(run))
    ranks.begin(run.args.out)
    try:
        data = run.load_data()
    except CorruptImage:  # it is a ValueError too, but has a better message
        raise
    except ValueError as error:
        sys.exit(wrong_data(run, error) if ranks.first else 1)
    try:
        ranks.of_first(lambda: check_data(run, data, saved))
        run.start(data, saved)
    except WeightsError as error:
        sys.exit(str(error) if ranks.first else 1)
    except (KeyError, RuntimeError, ValueError) as error:
        if saved is None or (isinstance(error, RuntimeError) and "state_dict" not in str(error)):
            raise
        sys.exit(wrong_version(run, error) if ranks.first else 1)
    if ranks.first:
        print(f"{data}\n{run.describe()}\nResults go to {run.args.out}.")
        if saved:
            print(f"The run in {run.args.out} goes on at step {run.step} of {run.steps}.")
    return (saved or {}).get("journal")


def open_folder(run: Training[Any]) -> dict[str, Any] | None:
    """Check the arguments and the folder. If the run is resumed, load its state."""
    args, checkpoints = run.args, run.checkpoints
    try:
        str(args.out).encode()
    except UnicodeEncodeError:  # TensorBoard would end the run later, with a worse message
        sys.exit(f"--out: expected a path in UTF-8, got {str(args.out)!a}. Give another folder.")
    if checkpoints.paths() and not args.resume:
        sys.exit(f"--out: {args.out} holds a run already. Add --resume to go on with it, or give another folder.")
    try:
        run.check_arguments()
    except ValueError as error:
        sys.exit(wrong_data(run, error))
    checkpoints.check_room(0)
    try:
        run.make_views()
    except ValueError as error:
        sys.exit(f"views: {error}")
    try:
        saved = checkpoints.load()
    except OSError as error:
        sys.exit(str(error))
    if saved and saved["kind"] != run.kind:  # its arguments may look like those of this kind
        sys.exit(f"--out: {args.out} holds a run of another kind, not of {run.kind}. Give another folder.")
    try:
        if saved is None:
            run.build(args.weights)
    except WeightsError as error:
        sys.exit(str(error))
    return saved


def wrong_data(run: Training[Any], error: ValueError) -> str:
    """Name the option that a ``ValueError`` is about. It is ``--data`` unless the message names another."""
    option, colon, text = str(error).partition(":")
    return f"--{option.replace('_', '-')}{colon}{text}" if hasattr(run.args, option) else f"--data: {error}"


def wrong_version(run: Training[D], error: Exception) -> str:
    """Say that the checkpoint comes from another version of equicon, and what to do."""
    return (
        f"--resume: the newest checkpoint in {run.checkpoints.folder} was written by another version of equicon "
        f"({type(error).__name__}: {str(error).partition(chr(10))[0]}). Go on with that version, or start "
        "a new run with another --out."
    )


def check_data(run: Training[D], data: D, saved: dict[str, Any] | None) -> None:
    """Check that there are enough images to train on, and as many as when the run was begun."""
    run.check_count(data.count)
    if saved and tuple(saved["counts"]) != data.counts:
        begun, got = (" + ".join(f"{count:,}" for count in each) for each in (saved["counts"], data.counts))
        options = "--data, --unlabelled" if getattr(run.args, "unlabelled", None) else "--data"
        sys.exit(f"{options}: the run was begun on {begun} images, got {got}. Give it the same data.")


def train(run: Training[Any], journal_state: dict[str, int] | None = None) -> None:
    """Measure, train, and measure again."""
    args, ranks = run.args, run.ranks
    if ranks.first:
        # Optimizers such as Adam keep two numbers for each weight.
        run.checkpoints.check_room(3 * size_of(run.model.state_dict()))
        write_text(args.out / "arguments.json", arguments_text(args))
    with Journal(
        args.out / "tensorboard",
        run.device,
        first=run.step,
        steps=run.steps,
        images=run.images,
        name=run.title,
        quiet=not ranks.first,
        state=journal_state,
    ) as journal:
        if run.step == 0:
            if ranks.first:
                run.preview()
            run.save(journal)  # this also shows early whether saving works
        if run.unmeasured:
            run.measure(journal)
        with Stop() as stop:
            stopping = run.loop(journal, stop)
        if stopping:
            leave(stop.signal, run)
        run.measure(journal)


def report(run: Training[Any]) -> None:
    """Write the results, and print what a user wants to know."""
    result = run.results() | {
        "minutes": run.minutes,
        "skipped": run.skipped,
        "arguments": json.loads(arguments_text(run.args)),
        "versions": {
            name: sys.modules[name].__version__ for name in ("equicon", "torch", "torchvision") if name in sys.modules
        },
    }
    write_text(run.args.out / "result.json", json.dumps(result, indent=2) + "\n")
    if skipped := run.skipped:
        more = f" and {len(skipped) - 5} more (result.json lists all)" if len(skipped) > 5 else ""
        print(f"\nWent on without {len(skipped)} corrupt images: {', '.join(skipped[:5])}{more}.")
    run.say()


def conclude(work: Callable[[], None], checkpoints: Checkpoints, ranks: Ranks) -> None:
    """Do the work of a run while its folder is locked. If the run ends early, say why and what to do."""
    wrong = ""
    try:
        with ranks.quietly(checkpoints.held()):
            work()
    except CorruptImage as error:
        wrong = f"{last_line(error)} Here, --skip-corrupt does that. Add --resume too if the run had begun."
    except NotFiniteError as error:
        wrong = f"{error} {last_good(checkpoints)} Add --resume and a lower --lr to go on from there."
        if not ranks.first:  # all ranks see the same loss, and the first one prints the message
            sys.exit(1)
    except OSError as error:
        wrong = f"{error} {last_good(checkpoints)}"
    except KeyboardInterrupt:
        then = "Add --resume to go on." if checkpoints.paths() else "The same command begins again."
        print(f"\nStopped. {last_good(checkpoints)} {then}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    if wrong:  # not earlier: the traceback of the error keeps the workers alive
        sys.exit(wrong)


def last_line(error: CorruptImage) -> str:
    r"""Give the message of an error, without its name.

    An error that comes from a worker of a ``DataLoader`` is a whole traceback. The message is its last line.

    Args:
        error: The error, as it was raised in this process or in a worker.

    Returns:
        The message.

    Examples:
        >>> last_line(CorruptImage("Caught CorruptImage in worker 0.\n...\nequicon.data.CorruptImage: a.jpg: bad."))
        'a.jpg: bad.'
    """
    return re.sub(r"^(\w+\.)*CorruptImage: ", "", str(error).strip().splitlines()[-1])


def last_good(checkpoints: Checkpoints) -> str:
    paths = checkpoints.paths()
    return f"The last good checkpoint is {paths[-1]}." if paths else "There is no checkpoint yet."


def leave(signalled: signal.Signals | None, run: Training[Any]) -> NoReturn:
    """End a run that a signal stopped. The signal may have come to another rank."""
    number = signalled or signal.SIGTERM
    if run.ranks.first:
        print(f"\nStopped by {number.name} and saved after step {run.step} of {run.steps}. Add --resume to go on.")
    sys.exit(128 + number)
