"""Do jobs one after another, in processes or in threads, report them as they finish, and end with one exit code for all."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TextIO

import click

from aecodec import cuda
from aecodec.cli import plan, shell
from aecodec.cli.advice import explain
from aecodec.cli.plan import Job
from aecodec.errors import AecodecError, BitstreamError, LimitError, reason
from aecodec.stores import names
from aecodec.threads import thread_count, use_threads

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import FrameType

Report = dict[str, Any]  # what --json prints of a file
PICTURES_PER_PROCESS = 4  # fewer are done before another process has started
PROCESSES = "processes"  # of this machine: what jobs run on where no cluster is named
MAX_WORKERS = 16  # each holds a picture at a time, and a process the model


@dataclass(frozen=True)
class Done:
    """The result of a job: the fields that --json prints after input and output, and the bytes read and written.

    ``record`` is what a manifest says of it.
    """

    report: Report
    read: int = 0
    written: int = 0
    record: dict[str, Any] | None = None


SKIPPED = Done({"skipped": True})
LARGER = Done({"skipped": True, "larger": True})  # what would not be smaller than its source
Work = Callable[[Job], Done]


@dataclass
class Outcome:
    """How a job ended: ``done``, or the ``error``; ``damaged`` where the fault is in the file itself."""

    job: Job
    done: Done | None = None
    error: str = ""
    damaged: bool = False
    warnings: list[str] = field(default_factory=list)


def run(
    tasks: Sequence[Job],
    work: Work,
    *,
    show: Callable[[Report], str] | None = None,
    verb: str = "",
    threads: int | None = None,
    device: str = "cpu",
    tell: Callable[[Job, Done], None] | None = None,
    executor: str = PROCESSES,
    replaces: bool = True,
) -> None:
    """Do every job, report on one line each failure or loss, and end the process with the right exit code.

    ``show`` makes the line that is printed for a report. With a ``verb`` ("encoded") several jobs may share ``threads`` CPU
    threads among processes, or run in one process at a GPU, and get a progress bar on a terminal and a summary; ``work``
    must be picklable then. ``tell`` gets each job that is done, in this process.

    Another ``executor`` than PROCESSES runs all jobs on the workers of a cluster, where those that do not replace outputs
    that are there need to know it: ``replaces``.
    """
    if executor != PROCESSES:
        _check_for_cluster(tasks, executor, threads)
        _finish(_on_cluster(tasks, work, executor, threads, replaces), tasks, show, verb, tell)
        return
    gpu = bool(verb) and len(tasks) > 1 and _on_gpu(device, threads)
    # a GPU gains nothing from several models in its memory, but from several pictures at a time
    workers, each = share(len(tasks), threads, 1 if gpu else PICTURES_PER_PROCESS) if verb else (1, threads)
    if each:
        use_threads(each)
    outcomes: Generator[Outcome, None, None]
    if workers == 1:
        outcomes = (attempt(work, job) for job in tasks)
    else:
        outcomes = (_thread if gpu else _spread)(tasks, work, workers)
    _finish(outcomes, tasks, show, verb, tell)


def _finish(
    outcomes: Generator[Outcome, None, None],
    tasks: Sequence[Job],
    show: Callable[[Report], str] | None,
    verb: str,
    tell: Callable[[Job, Done], None] | None,
) -> None:
    """Report outcomes as they come, and end the process where one is a failure."""
    progress = Progress(len(tasks), verb, getattr(tasks, "left_out", {}))
    failures: list[bool] = []  # whether each is damage
    try:
        with terminated_as_exit(), _listening, contextlib.closing(outcomes):
            for outcome in outcomes:
                progress.clear()
                _tell(outcome, show)
                if outcome.done is None:
                    failures.append(outcome.damaged)
                elif tell is not None:
                    tell(outcome.job, outcome.done)
                progress.add(outcome)
    finally:
        progress.clear()
        progress.summary()
    if failures:
        sys.exit(shell.DAMAGED if all(failures) else shell.FAILED)


def share(jobs: int, threads: int | None, pictures: int = PICTURES_PER_PROCESS) -> tuple[int, int | None]:
    """Return (workers, threads of each).

    One picture uses all threads. Many are spread over workers of few threads, each of which gets ``pictures`` or more.
    """
    total = threads or thread_count()
    workers = min(total, jobs // pictures, MAX_WORKERS)
    return (workers, total // workers) if workers > 1 else (1, threads)


def _on_gpu(device: str, threads: int | None) -> bool:
    if device == "auto" and cuda.has_driver():
        use_threads(threads or thread_count())  # torch is about to be imported
        return cuda.is_usable()
    return device == "cuda"


def attempt(work: Work, job: Job) -> Outcome:
    """Do a job, and catch what may go wrong with one picture."""
    outcome = Outcome(job)
    _heard.messages = {}
    try:
        if job.problem:
            raise AecodecError(job.problem)
        outcome.done = work(job)
    except AecodecError as error:
        outcome.error, outcome.damaged = explain(error), isinstance(error, (BitstreamError, LimitError))
    except BrokenPipeError:
        raise  # the reader of our output has gone; click ends quietly
    except OSError as error:
        outcome.error = reason(error)
    except MemoryError:
        outcome.error = "out of memory"
    except RuntimeError as error:
        outcome.error = "out of memory" if _is_of_memory(error) else _fault(error)
    except Exception as error:  # noqa: BLE001  a fault of ours: it must not cost the pictures that wait
        outcome.error = _fault(error)
    outcome.warnings = list(_heard.messages)
    return outcome


def _fault(error: Exception) -> str:
    return f"unexpected {type(error).__name__}: {error}; please report this"


def _is_of_memory(error: RuntimeError) -> bool:
    """Return whether a library's error says that it got no memory, or no thread, from the system."""
    text = str(error).lower()
    return any(
        sign in text for sign in ("bad_alloc", "out of memory", "allocate", "start new thread", "temporarily unavailable")
    )


_heard = threading.local()  # messages: of the warnings in the attempt that this thread is at, as keys


@contextlib.contextmanager
def _hearing() -> Iterator[None]:
    """Send warnings for users to the attempt, in the thread where they arise, and drop all others."""

    def hear(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        of_pillow = f"{os.sep}PIL{os.sep}" in filename  # about tags and such, and to programmers
        if category is UserWarning and hasattr(_heard, "messages") and not of_pillow:
            _heard.messages[str(message)] = True

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = hear
        yield


class _Listening:
    """What ``_hearing`` does, for several threads at once: the first sets it up, and the last ends it."""

    def __init__(self) -> None:
        self._lock, self._threads, self._hearing = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._threads:
                self._hearing.enter_context(_hearing())
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._hearing.close()


_listening = _Listening()


def _tell(outcome: Outcome, show: Callable[[Report], str] | None) -> None:
    job = outcome.job
    if outcome.error:
        shell.complain(job.input, outcome.error)
    for message in outcome.warnings:
        shell.complain(job.input, f"warning: {message}")
    report = {"error": names.masked(outcome.error)} if outcome.done is None else outcome.done.report
    if show is json.dumps or (show and outcome.done is not None):
        places = {"input": names.shown(job.input)} | ({"output": names.shown(job.output)} if job.output else {})
        click.echo(show({**places, **report}), err=job.output == shell.STANDARD)


def _thread(tasks: Sequence[Job], work: Work, threads: int) -> Generator[Outcome, None, None]:
    """Yield outcomes as they come from threads. These start when one job is done, which opens the model for all."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    waiting = iter(tasks)
    for job in waiting:
        outcome = attempt(work, job)
        yield outcome
        if outcome.done not in (None, SKIPPED):
            break
    pool = ThreadPoolExecutor(threads)
    try:
        for future in as_completed([pool.submit(attempt, work, job) for job in waiting]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _spread(tasks: Sequence[Job], work: Work, processes: int) -> Generator[Outcome, None, None]:
    """Yield outcomes as they come from worker processes. A worker that is killed costs only the picture that it had."""
    import multiprocessing.connection

    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of threads that it does not copy
    waiting = iter(tasks)
    busy: dict[Connection, tuple[SpawnProcess, Job]] = {}
    workers: list[SpawnProcess] = []

    def start() -> tuple[Connection, SpawnProcess]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _deaf_to_interrupts():
            process.start()
        theirs.close()
        workers.append(process)
        return ours, process

    def give(worker: tuple[Connection, SpawnProcess] | None = None) -> None:
        job = next(waiting, None)
        if job is None:
            if worker is not None:
                worker[0].close()  # where the worker ends
            return
        connection, process = worker or start()
        busy[connection] = process, job
        with contextlib.suppress(OSError):  # a worker that has died meanwhile is found at the next wait
            connection.send(job)

    try:
        for _ in range(processes):
            give()
        while busy:
            ready = multiprocessing.connection.wait(busy)
            for connection in [each for each in busy if each in ready]:
                process, job = busy.pop(connection)
                try:
                    outcome: Outcome = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    outcome = Outcome(job, error=f"the process that worked on it has died ({process.exitcode})")
                    connection.close()
                    give()
                else:
                    give((connection, process))
                yield outcome
    finally:
        for process, _ in busy.values():
            process.terminate()
        for process in workers:
            process.join(timeout=10)


def _serve(connection: Connection, work: Work) -> None:
    """Run a worker: jobs in, outcomes out, until the other end is closed."""
    with terminated_as_exit(), _listening:
        try:
            while True:
                connection.send(attempt(work, connection.recv()))
        except (EOFError, OSError):
            return


def as_seen_by_workers(name: str, executor: str) -> str:
    """Return the path of a model or a folder of weights as the workers of an executor find it, which may run elsewhere.

    Names of installed weights, and paths for processes of this machine, stay as they are.
    """
    if executor == PROCESSES:
        return name
    from aecodec.weights import cards

    return name if os.path.isfile(cards.INSTALLED / name / cards.CARD) else os.path.abspath(name)


def _check_for_cluster(tasks: Sequence[Job], name: str, threads: int | None) -> None:
    """Raise click.UsageError where a cluster cannot do what is asked for."""
    from aecodec import executors

    if any(shell.STANDARD in (job.input, job.output) for job in tasks):
        raise click.UsageError("the workers of --executor cannot read standard input or write standard output")
    if threads and not executors.is_local(name):
        raise click.UsageError("--threads is for this machine; each worker of a cluster has its own number of threads")


def _on_cluster(
    tasks: Sequence[Job], work: Work, name: str, threads: int | None, replaces: bool
) -> Generator[Outcome, None, None]:
    """Yield outcomes as they come from the workers of a cluster. A picture whose worker is lost goes to another one."""
    from aecodec import __version__, executors
    from aecodec.executors.spread import spread

    try:
        if not replaces:
            tasks = plan.with_new_outputs(tasks)
        executor = executors.open_executor(name, max(1, min(threads or thread_count(), len(tasks))))
    except (AecodecError, OSError) as error:
        shell.complain(name, reason(error) if isinstance(error, OSError) else error)
        sys.exit(shell.FAILED)
    call = functools.partial(_attempt_all, __version__, work)
    try:
        for job, result in spread(tasks, call, executor, for_worker):
            yield replace(result, job=job) if isinstance(result, Outcome) else Outcome(job, error=str(result))
    except (GeneratorExit, OSError):
        raise
    except Exception as error:  # noqa: BLE001  of the workers as such: all jobs would end with it
        shell.complain(name, f"the workers cannot do it: {error}")
        sys.exit(shell.FAILED)
    finally:
        executor.shutdown(cancel_futures=True)


def for_worker(job: Job, again: bool) -> Job:
    """Return what is sent of a job to a worker, which may run in another folder."""
    return replace(plan.absolute(job), again=job.again or again)


def _attempt_all(version: str, work: Work, jobs: list[Job]) -> list[Outcome]:
    """Do jobs one after another on a worker of a cluster. Raises AecodecError where that has another version."""
    from aecodec import __version__

    if version != __version__:
        raise AecodecError(f"they have aecodec {__version__}, and this is {version}")
    with _listening:
        return [attempt(work, job) for job in jobs]


@contextlib.contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process in order, so that temporary files are removed."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # not under nohup

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for each in numbers:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which a terminal sends to all; their parent ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Progress:
    """Count outcomes: a bar on a terminal's standard error while they come, one line at the end.

    It uses no colours and no cursor movements but a carriage return, so any terminal shows it.
    """

    def __init__(self, total: int, verb: str, left_out: Mapping[str, int] | None = None) -> None:
        self._left_out = left_out or {}
        self._total, self._verb = total, verb
        self._several = bool(verb) and total > 1
        self._bar = self._several and shell.is_terminal(sys.stderr)
        self._done = self._skipped = self._larger = self._failed = self._read = self._written = 0
        self._start, self._drawn, self._width = time.monotonic(), 0.0, 0

    def add(self, outcome: Outcome) -> None:
        if outcome.done is None:
            self._failed += 1
        elif outcome.done == SKIPPED:
            self._skipped += 1
        elif outcome.done == LARGER:
            self._larger += 1
        else:
            self._done += 1
            self._read += outcome.done.read
            self._written += outcome.done.written
        if self._bar:
            self._draw()

    def _draw(self) -> None:
        ended = self._done + self._skipped + self._larger + self._failed
        worked = ended - self._skipped
        seconds = time.monotonic() - self._start
        left = seconds / worked * (self._total - ended) if worked else 0
        filled = 20 * ended // self._total
        text = f"[{'#' * filled}{'.' * (20 - filled)}] {ended}/{self._total}  {worked / max(seconds, 1e-3):.1f} pictures/s"
        if 0 < self._written < self._read:  # nothing is written where files are only checked or described
            text += f"  {_size(self._read - self._written)} saved"
        text += f"  {_clock(left)} left"
        text = text[: shutil.get_terminal_size().columns - 1]
        self._width = len(text)
        click.echo("\r" + text, nl=False, err=True)

    def clear(self) -> None:
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
            self._width = 0

    def summary(self) -> None:
        left_out = [
            f"{count} {name}{'' if count == 1 or name == 'hidden' else 's'}"
            for name, count in sorted(self._left_out.items())
            if count
        ]
        if not self._several:
            if left_out:
                click.echo(f"aecodec: left out: {', '.join(left_out)}", err=True)
            return
        parts = [f"{self._done} {self._verb}"]
        parts += [f"{self._skipped} up to date"] if self._skipped else []
        parts += [f"{self._larger} left out, which would not be smaller"] if self._larger else []
        parts += [f"{self._failed} failed"] if self._failed else []
        missing = self._total - self._done - self._skipped - self._larger - self._failed
        parts += [f"{missing} not done"] if missing else []
        sizes = f"; {_size(self._read)}" if self._done else ""
        if self._written:  # nothing is where files are only checked
            sizes += f" to {_size(self._written)}"
        end = f"; left out: {', '.join(left_out)}" if left_out else ""
        click.echo(f"aecodec: {', '.join(parts)}{sizes}, in {_clock(time.monotonic() - self._start)}{end}", err=True)


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextlib.contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[], None]]:
    """Return a function to call after each measurement; it moves a bar on a terminal's standard error."""
    if not shell.is_terminal(sys.stderr) or not length:
        yield lambda: None
        return
    with click.progressbar(length=length, label=label, show_pos=True, show_eta=True, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
