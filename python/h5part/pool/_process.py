"""One worker process, as the pool sees it."""

from __future__ import annotations

import os
import signal
import socket
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any

from h5part.pool import _wire, _worker
from h5part.pool._task import Task
from h5part.pool._wire import Channel, Tokens
from h5part.pool._worker import Setup

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Worker:
    """A worker process: its socket, what tells of its end, and the task that it has."""

    def __init__(self, context: BaseContext, setup: Setup, name: str, inherited: list[socket.socket]) -> None:
        ours, theirs = socket.socketpair()
        method = context.get_start_method()
        self.channel = Channel(ours, blocking=False)
        # What it computes, and what was sent ahead, so that it need not wait for the pool in between.
        self.task: Task | None = None
        self.next: Task | None = None
        # The task was sent ahead: whether it has begun, its token tells.
        self.was_ahead = False
        # Which pipe has the token of `next`; that of `task` is in the other one.
        self._slot = 0
        self._pipes = [os.pipe(), os.pipe()]
        for read, _ in self._pipes:
            os.set_blocking(read, False)
        self._tokens = [Tokens(read) for read, _ in self._pipes]
        self.function = -1
        self.ready = False
        # It gets nothing more.
        self.leaving = False
        # The pool wants its end; else its death is a failure.
        self.told = False
        ends = [Connection(os.dup(read), writable=False) for read, _ in self._pipes]
        try:
            self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
                target=_start,
                args=(theirs, ends, setup, [*inherited, ours] if method == "fork" else []),
                name=name,
                daemon=False,
            )
            self.process.start()
        except BaseException:
            ours.close()
            self._close_tokens()
            raise
        finally:
            theirs.close()
            for end in ends:
                end.close()
        pid = self.process.pid
        # A kill of group 0 would end this process and its own group.
        assert pid is not None and pid > 1
        self.pid = pid
        self.end = self._watch()

    def _watch(self) -> int:
        """A descriptor that becomes readable when the process ends."""
        try:
            # The sentinel of multiprocessing is a pipe, which a grandchild may hold open.
            self.has_pidfd = True
            return os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self.has_pidfd = False
            return self.process.sentinel

    def put_token(self, task: Task) -> int:
        """Before a task is sent ahead. Returns what is added to the kind of its message."""
        _wire.put_token(self._pipes[self._slot][1], task.number)
        return _wire.AHEAD + (_wire.SECOND if self._slot else 0)

    def take_back_next(self) -> Task | None:
        """Takes back what was sent ahead. None: there is nothing, or the worker has begun it or is about to."""
        task = self.next
        if task is None or not self._tokens[self._slot].take(task.number):
            return None
        self.next = None
        return task

    def take_back_task(self) -> Task | None:
        """Takes back the task of a worker that died, if it had not begun it."""
        task = self.task
        if task is None or not self.was_ahead or not self._tokens[1 - self._slot].take(task.number):
            return None
        self.task = None
        return task

    def advance(self) -> Task | None:
        """The task has ended: what was sent ahead takes its place. Returns the one that ended."""
        task, self.task, self.next = self.task, self.next, None
        self.was_ahead = self.task is not None
        if self.task is not None:
            self.task.future.started = True
            self._slot = 1 - self._slot
        return task

    def _close_tokens(self) -> None:
        for pipe in self._pipes:
            for end in pipe:
                os.close(end)

    def kill(self) -> None:
        """Kills the process, and the programs that its task started. Does not wait."""
        self.leaving = True
        if self.process.exitcode is not None:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass
        # It has no group of its own yet, while it starts.
        self.process.kill()

    def dismiss(self) -> None:
        """Asks an idle worker to exit."""
        self.leaving = self.told = True
        try:
            self.channel.send(_wire.EXIT, 0)
        except OSError:
            pass

    def reap(self) -> tuple[int | None, str | None]:
        """Collects a process that has ended: its exit code, or the name of a signal."""
        self.channel.close()
        self._close_tokens()
        self.process.join(10)
        code = self.process.exitcode
        if self.has_pidfd:
            os.close(self.end)
        try:
            self.process.close()
        except ValueError:
            pass  # It is not known to have ended: somebody else reaped it.
        if code is not None and code < 0:
            return None, signal_name(-code)
        return code, None

    def forget(self) -> None:
        """In a child of a fork: closes what belongs to the parent."""
        self.channel.close()
        self._close_tokens()
        if self.has_pidfd:
            os.close(self.end)


def _start(sock: socket.socket, ends: list[Connection], setup: Setup, inherited: list[Any]) -> None:
    # A forked worker holds the sockets of the others, which would keep them open.
    for other in inherited:
        other.close()
    _worker.main(sock, [Tokens(end.fileno()) for end in ends], setup)
