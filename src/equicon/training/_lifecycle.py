"""The life of a run: begun or gone on with, trained, reported, and what is said when it ends early."""

import argparse
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from equicon.data import CorruptImage
from equicon.data._files import write_text
from equicon.training._checkpoints import Checkpoints, Stop, size_of
from equicon.training._extra import need
from equicon.training._journal import Journal, NotFiniteError
from equicon.training._options import arguments_text
from equicon.training._ranks import Ranks, joined
from equicon.training._stdout import escape_stdout
from equicon.training._training import D, Training, WeightsError


def launch(
    kind: type[Training[Any]], parse_args: Callable[[Sequence[str]], argparse.Namespace], argv: Sequence[str] | None
) -> None:
    """Run a programme from its command line: alone, or as one of the ranks that ``torchrun`` started.

    Writes ``result.json``, ``arguments.json``, ``checkpoints/`` and ``tensorboard/`` to ``--out``, and what the hooks
    of the run write.

    Args:
        kind: The class of the run.
        parse_args: Reads the options. A rank that was started again gets ``--resume`` and ``--out`` too.
        argv: The words; those that the program was started with if None.

    Raises:
        SystemExit: If the run ends early: with what is wrong and what to do about it, or with 128 + the number of the
            signal that stopped it.

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
        if ranks.restarted:  # in the folder that it chose: it may have left nothing there, and others were there before
            words += ["--resume", "--out", ranks.restarted]
        args = ranks.of_first(lambda: parse_args(words))
        args.device = ranks.device(args.device)
        checkpoints = Checkpoints(args.out / "checkpoints", args.keep)
        conclude(lambda: live(kind(args, checkpoints, ranks)), checkpoints, ranks)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a programme with the code 130 and a word, and no traceback.

    What handled ``SIGINT`` before is set aside meanwhile, such as what ends a script as quietly during its imports.

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
    """Check all that can be checked before time is spent, and restore the run that is resumed.

    Returns:
        What a checkpoint holds of the journal; None where there is none. The rest of it is not kept in memory.
    """
    ranks = run.ranks
    saved = ranks.of_first(lambda: open_folder(run))
    ranks.begin(run.args.out)
    try:
        data = run.load_data()
    except CorruptImage:  # which is a ValueError, and says more
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
            print(f"{run.args.out} goes on at step {run.step} of {run.steps}.")
    return (saved or {}).get("journal")


def open_folder(run: Training[Any]) -> dict[str, Any] | None:
    """Check the arguments and the folder, and load the state of the run that is resumed, if there is one."""
    args, checkpoints = run.args, run.checkpoints
    try:
        str(args.out).encode()
    except UnicodeEncodeError:  # TensorBoard ends the run then, and says less
        sys.exit(f"--out: expected a path in UTF-8, got {str(args.out)!a}. Give another folder.")
    if checkpoints.paths() and not args.resume:
        sys.exit(f"--out: {args.out} holds a run already. Go on with it (--resume), or give another folder.")
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
    if saved and saved["kind"] != run.kind:  # whose arguments may not be told apart from those given
        sys.exit(f"--out: {args.out} holds another run than one of {run.kind}. Give another folder.")
    try:
        if saved is None:
            run.build(args.weights)
    except WeightsError as error:
        sys.exit(str(error))
    return saved


def wrong_data(run: Training[Any], error: ValueError) -> str:
    """Say which option a ``ValueError`` is about: the one that it names, else ``--data``."""
    option, colon, text = str(error).partition(":")
    return f"--{option.replace('_', '-')}{colon}{text}" if hasattr(run.args, option) else f"--data: {error}"


def wrong_version(run: Training[D], error: Exception) -> str:
    """Say that a checkpoint is not of this version, and what to do."""
    return (
        f"--resume: the newest checkpoint in {run.checkpoints.folder} was written by another version of equicon "
        f"({type(error).__name__}: {str(error).partition(chr(10))[0]}). Go on with that version, or begin anew with "
        "another --out."
    )


def check_data(run: Training[D], data: D, saved: dict[str, Any] | None) -> None:
    """Check that there is enough to train on, and as much as the run was begun on."""
    run.check_count(data.count)
    if saved and tuple(saved["counts"]) != data.counts:
        begun, got = (" + ".join(f"{count:,}" for count in each) for each in (saved["counts"], data.counts))
        sys.exit(f"--data: the run was begun on {begun} images, got {got}. Give it the same data.")


def train(run: Training[Any], journal_state: dict[str, int] | None = None) -> None:
    """Measure, train, and measure again."""
    args, ranks = run.args, run.ranks
    if ranks.first:
        # Adam and its like keep two numbers for each weight.
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
            run.save(journal)  # which also tries whether it can be done
        if run.unmeasured:
            run.measure(journal)
        with Stop() as stop:
            stopping = run.loop(journal, stop)
        if stopping:
            leave(stop.signal, run)
        run.measure(journal)


def report(run: Training[Any]) -> None:
    """Write the results, and print what a person wants to know."""
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
        more = f" and {len(skipped) - 5} more (result.json has all)" if len(skipped) > 5 else ""
        print(f"\nWent on without {len(skipped)} corrupt images: {', '.join(skipped[:5])}{more}.")
    run.say()


def conclude(work: Callable[[], None], checkpoints: Checkpoints, ranks: Ranks) -> None:
    """Do the work of a run while its folder is held, and if it ends early say why and what to do."""
    wrong = ""
    try:
        with ranks.quietly(checkpoints.held()):
            work()
    except CorruptImage as error:
        wrong = f"{last_line(error)} Here, that is --skip-corrupt, and --resume if the run had begun."
    except NotFiniteError as error:
        wrong = f"{error} {last_good(checkpoints)} Add --resume and a lower --lr to go on from there."
        if not ranks.first:  # which says it, as all see the same loss
            sys.exit(1)
    except OSError as error:
        wrong = f"{error} {last_good(checkpoints)}"
    except KeyboardInterrupt:
        then = "--resume goes on." if checkpoints.paths() else "The same command begins again."
        print(f"\nStopped. {last_good(checkpoints)} {then}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    if wrong:  # only now that the error is gone, and with it the workers that its traceback held
        sys.exit(wrong)


def last_line(error: CorruptImage) -> str:
    r"""Give what an error says; what comes from a worker is a traceback that ends with it.

    Args:
        error: As it was raised in this process or in a worker of a ``DataLoader``.

    Returns:
        The text, without the name of the error.

    Examples:
        >>> last_line(CorruptImage("Caught CorruptImage in worker 0.\n...\nequicon.data.CorruptImage: a.jpg: bad."))
        'a.jpg: bad.'
    """
    return re.sub(r"^(\w+\.)*CorruptImage: ", "", str(error).strip().splitlines()[-1])


def last_good(checkpoints: Checkpoints) -> str:
    paths = checkpoints.paths()
    return f"The last good checkpoint is {paths[-1]}." if paths else "There is no checkpoint yet."


def leave(signalled: signal.Signals | None, run: Training[Any]) -> NoReturn:
    """End a run that a signal stopped, which may have come to another rank."""
    number = signalled or signal.SIGTERM
    if run.ranks.first:
        print(f"\nStopped by {number.name} and saved after step {run.step} of {run.steps}: --resume goes on.")
    sys.exit(128 + number)
