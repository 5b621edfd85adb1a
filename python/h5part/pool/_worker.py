"""What a worker process runs."""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import pickle
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from h5part.errors import TaskError
from h5part.pool import _errors, _wire
from h5part.pool._config import PoolConfig
from h5part.pool._seed import Current, Seeds, set_current
from h5part.pool._wire import Buffer, Channel, Tokens

_PR_SET_PDEATHSIG = 1
_F_SETSIG = 10


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know before its first task."""

    parent: int | None  # None: another process starts workers (forkserver).
    at_end: Callable[[], object]  # Called when the worker ends.
    memory_limit: int | None = None
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    inner: PoolConfig | None = None


# Of this worker.
_inner: PoolConfig | None = None


def inner_of_worker() -> PoolConfig | None:
    """Returns the configuration of the pool that tasks of this worker get. None outside a worker, too."""
    return _inner


def main(sock: socket.socket, tokens: list[Tokens], setup: Setup) -> None:
    """Runs tasks until the pool says EXIT or is gone."""
    global _inner
    _inner = setup.inner
    _leave_terminal()
    _die_with(setup.parent)
    channel = Channel(sock, blocking=True)
    try:
        if setup.initializer is not None:
            setup.initializer(*setup.initargs)
        if setup.memory_limit is not None:
            _limit_memory(setup.memory_limit)
    except BaseException as e:
        channel.send(_wire.BROKEN, 0, _errors.pack(e, skip=1))
        return
    try:
        channel.send(_wire.READY, 0)
        _serve(channel, tokens)
    except (BrokenPipeError, ConnectionResetError):
        pass  # The pool is gone, and nobody waits for the result.
    finally:
        setup.at_end()


def _leave_terminal() -> None:
    """Ctrl-C in a terminal is for the pool, which decides what to do."""
    try:
        # A group of its own: ending the worker also ends programs that its task started.
        os.setpgid(0, 0)
    except OSError:
        pass
    # A SIGINT from before is pending, since the pool starts workers with SIGINT blocked. Drop it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _die_with(parent: int | None) -> None:
    """Has the kernel kill this process when the process that started it dies."""
    if sys.platform != "linux":
        return
    if parent is None:
        _die_with_pipe()
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _die_with_pipe() -> None:
    """The same where a server starts workers, which lives as long as they do.

    The owner of the pool holds the other end of this pipe, and writes nothing
    more to it: the only event is its end, and the kernel sends SIGKILL for it.
    """
    owner = multiprocessing.parent_process()
    if owner is None:
        return
    pipe: int = owner.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, _F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([pipe], [], [], 0)[0]:
        os._exit(1)


def _limit_memory(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _serve(channel: Channel, tokens: list[Tokens]) -> None:
    # The function of a map is sent once, before the first of its items.
    function: Buffer = b""
    loaded: Callable[..., Any] | None = None
    while (frame := channel.wait()) is not None:
        kind, number, body = frame
        if kind & _wire.AHEAD:
            pipe = tokens[bool(kind & _wire.SECOND)]
            kind &= ~(_wire.AHEAD | _wire.SECOND)
            if not pipe.take(number):
                continue  # Another worker does it.
        if kind == _wire.EXIT:
            return
        if kind == _wire.FUNCTION:
            function, loaded = body, None
        elif kind in (_wire.CALL, _wire.STREAM):
            _call(channel, number, body, is_stream=kind == _wire.STREAM)
        else:
            if loaded is None:
                loaded = _load(function)
            _map(channel, number, loaded, body)
        # Else the arguments of the last task would stay in memory until the next one.
        del frame, body


def _load(data: Buffer) -> Callable[..., Any]:
    """Unpickles a function; one that fails to unpickle fails each of its items."""
    try:
        function: Callable[..., Any] = pickle.loads(data)
        return function
    except BaseException as e:
        error = explain(e)

    def fail(*_: object) -> None:
        raise error

    return fail


def explain(error: BaseException) -> BaseException:
    """Says what to do about a function that a worker cannot import."""
    if isinstance(error, AttributeError | ImportError) and "__m" in str(error):
        hint = (
            "a worker cannot import the function or class. Workers import the main module; they do not see what was "
            "defined in an interactive session or inside `if __name__ == '__main__'`. Put the definition at the top "
            "level of a module, or pass context='fork'"
        )
        return TaskError(f"{error}: {hint}", cause=type(error).__qualname__)
    return error


def _seeded(body: Buffer) -> tuple[Seeds | None, memoryview]:
    view = memoryview(body)
    size = int.from_bytes(view[:4], "little")
    seeds: Seeds | None = pickle.loads(view[4 : 4 + size]) if size else None
    return seeds, view[4 + size :]


def _call(channel: Channel, number: int, body: Buffer, *, is_stream: bool) -> None:
    try:
        seeds, view = _seeded(body)
        try:
            function, args, kwargs = pickle.loads(view)
        except BaseException as e:
            raise explain(e) from None
        set_current(Current(seeds.at(0) if seeds else None))
        try:
            result = function(*args, **kwargs)
            if is_stream:
                # A generator: what it yields is sent at once, with its number.
                for part, value in enumerate(result):
                    channel.send(_wire.PART, number, part.to_bytes(8, "little"), dump_result(value))
                result = None
        finally:
            set_current(None)
        data = dump_result(result)
    except BaseException as e:
        channel.send(_wire.FAILED, number, _failure([], e))
    else:
        channel.send(_wire.DONE, number, data)


def dump_result(result: object) -> bytes:
    """Pickles a result.

    Raises
    ------
    TaskError
        It cannot be pickled.
    """
    try:
        return pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        raise
    except Exception as e:
        name = type(result).__qualname__
        raise TaskError(f"cannot pickle the result of the task, a {name}: {e}", cause=type(e).__qualname__) from None


def _failure(results: list[Any], error: BaseException) -> bytes:
    """What was computed before the failure, and the failure."""
    return pickle.dumps((results, _errors.pack(error, skip=1)))


def _map(channel: Channel, number: int, function: Callable[..., Any], body: Buffer) -> None:
    """Body: seeds, a byte, the items. Byte 1: pickle each result apart, for a memo."""
    results: list[Any] = []
    try:
        seeds, view = _seeded(body)
        apart = bool(view[0])
        try:
            items = pickle.loads(view[1:])
        except BaseException as e:
            raise explain(e) from None
        try:
            if seeds is None and not apart:
                # Most maps: the loop costs no more than the calls.
                set_current(Current(None))
                for item in items:
                    results.append(function(*item))
            else:
                for index, item in enumerate(items):
                    set_current(Current(seeds.at(index) if seeds else None))
                    result = function(*item)
                    results.append(dump_result(result) if apart else result)
        finally:
            set_current(None)
        data = pickle.dumps(results, pickle.HIGHEST_PROTOCOL) if apart else dump_results(results)
    except BaseException as e:
        _send_failure(channel, number, results, e)
    else:
        channel.send(_wire.DONE, number, data)


def dump_results(results: list[Any]) -> bytes:
    """Pickles the results of a chunk. One that fails is named, and those before it are kept."""
    try:
        return pickle.dumps(results, pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        raise
    except Exception:
        for index, result in enumerate(results):
            try:
                dump_result(result)
            except TaskError:
                del results[index:]
                raise
        raise


def _send_failure(channel: Channel, number: int, results: list[Any], error: BaseException) -> None:
    try:
        data = _failure(results, error)
    except Exception:
        # A result before the failure cannot be pickled: that is the first failure, then.
        try:
            dump_results(results)
        except BaseException as e:
            error = e
        data = _failure(results, error) if isinstance(error, TaskError) else _failure([], error)
    channel.send(_wire.FAILED, number, data)
