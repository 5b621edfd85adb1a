"""The thread that hands tasks to workers and takes what they send."""

from __future__ import annotations

import atexit
import os
import pickle
import selectors
import signal
import socket
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext
from typing import Any

from h5part.errors import TaskError, WorkerDied
from h5part.pool import _errors, _wire
from h5part.pool._process import Worker
from h5part.pool._task import Chunk, PoolFuture, Task
from h5part.pool._wire import Frame
from h5part.pool._worker import Setup

# Workers that die in succession before they are ready; then the pool gives up. More, if one was ready before.
_MOST_FAILED_STARTS = 3
_MOST_FAILED_STARTS_LATER = 20
# A worker that was told to exit, but does not, is killed after this time.
_EXIT_S = 30.0
# Without pidfd_open(2) (Linux before 5.3), the end of a worker is looked for this often.
_POLL_S = 0.5


class Dispatcher:
    """The workers of a pool, its queue, and the thread that runs them.

    It does not know the pool, so that a pool that is dropped is collected.
    All its state but the queues belongs to the thread.
    """

    def __init__(
        self, context: BaseContext, workers: int, setup: Setup, retries: int, retry_on: tuple[type[BaseException], ...]
    ) -> None:
        self._context = context
        self._most = workers
        self._setup = setup
        self._retries = retries
        self._retry_on = retry_on
        self._queue: deque[Task] = deque()
        self._revoked: deque[PoolFuture[Any]] = deque()
        self._lock = threading.Lock()
        self._idle_now = threading.Condition(self._lock)
        self._open = 0
        self._closed = False
        self._cancelling = False
        self._terminating = False
        self._broken: WorkerDied | BaseException | None = None
        self._number = 0
        # Of the thread.
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []
        self._started = 0
        self._failed_starts = 0
        self._was_ready = False
        self._exit_by = 0.0
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._awake = False
        self._thread = threading.Thread(target=self._run, name="h5part.Pool", daemon=True)
        self._thread.start()
        _alive.add(self)
        _remember_main()

    # ---- for any thread

    def submit(self, task: Task) -> None:
        """Queues a task."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            if self._closed:
                raise RuntimeError("cannot submit a task: the pool is closed")
            self._open += 1
            self._queue.append(task)
        self._wake()

    def revoke(self, future: PoolFuture[Any]) -> None:
        """Ends the workers that compute a cancelled future."""
        self._revoked.append(future)
        self._wake()

    def close(self, *, cancel: bool = False, terminate: bool = False) -> None:
        """Accepts no more tasks; the workers exit when all tasks have ended."""
        with self._lock:
            self._closed = True
            self._cancelling |= cancel
            self._terminating |= terminate
        self._wake()

    def join(self, timeout: float | None = None) -> bool:
        """Waits until the workers have exited."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Waits until no task is left."""
        with self._lock:
            return self._idle_now.wait_for(lambda: self._open == 0, timeout)

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return list(self._workers)

    def forget(self) -> None:
        """In a child of a fork: closes what belongs to the parent."""
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()
        for worker in self._workers.values():
            worker.forget()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            try:
                self._wake_out.send(b"x")
            except OSError:
                pass  # A full buffer wakes it too; a closed one has nobody behind it.

    # ---- the thread

    def _run(self) -> None:
        # Ctrl-C is for the main thread. Workers start with it blocked until they have left the terminal's group.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._step():
                pass
        except BaseException as e:
            self._break(e)
            warnings.warn(f"the pool failed: {e!r}", RuntimeWarning, stacklevel=1)
        finally:
            self._end()

    def _step(self) -> bool:
        """Takes what there is, and hands out what can be. True: all is done."""
        for key, _ in self._selector.select(self._timeout()):
            if key.data is None:
                self._drain_wake()
                continue
            worker, is_end = key.data
            if worker.pid not in self._workers:
                continue  # Reaped by an event before this one.
            if is_end:
                self._on_end(worker)
            else:
                self._on_channel(worker)
        if any(not w.has_pidfd for w in self._workers.values()):
            for worker in [w for w in self._workers.values() if w.process.exitcode is not None]:
                self._on_end(worker)
        while self._revoked:
            self._on_revoked(self._revoked.popleft())
        if self._terminating or self._cancelling:
            self._cancel_queue()
        if self._terminating:
            return True
        self._assign()
        return self._leave() if self._closed else False

    def _timeout(self) -> float | None:
        if self._exit_by:
            return max(0.0, min(_POLL_S, self._exit_by - time.monotonic()))
        if any(not w.has_pidfd for w in self._workers.values()):
            return _POLL_S
        return None

    def _drain_wake(self) -> None:
        try:
            self._wake_in.recv(4096)
        except BlockingIOError:
            pass
        self._awake = False

    def _assign(self) -> None:
        """Hands tasks to idle workers, starts workers for those that remain, and sends some ahead."""
        queue = self._queue
        while self._next_in_queue() and self._idle:
            self._hand(self._idle.pop(), queue.popleft())
        starting = sum(1 for w in self._workers.values() if not w.ready and not w.leaving)
        present = sum(1 for w in self._workers.values() if not w.leaving)
        # A task that was sent ahead waits too: the one before it may take for ever.
        waiting = len(queue) + sum(1 for w in self._workers.values() if w.next is not None)
        while present < self._most and starting < waiting and self._broken is None:
            if not self._start():
                break
            present += 1
            starting += 1
        if queue:
            for worker in self._workers.values():
                if worker.task is not None and worker.next is None and not worker.leaving and self._next_in_queue():
                    self._hand(worker, queue.popleft(), ahead=True)
        elif self._idle:
            self._rob()

    def _next_in_queue(self) -> bool:
        """Whether a task waits. Drops those that nobody wants any more."""
        while self._queue and self._queue[0].future.done():
            self._queue.popleft()
        return bool(self._queue)

    def _rob(self) -> None:
        """Gives idle workers what waits behind the tasks of others."""
        for worker in self._workers.values():
            if not self._idle:
                return
            task = worker.take_back_next()
            if task is not None and not task.future.done():
                self._hand(self._idle.pop(), task)

    def _start(self) -> bool:
        self._started += 1
        try:
            if self._context.get_start_method() != "fork":
                # It leaves SIGINT unblocked in the thread that starts it.
                resource_tracker.ensure_running()
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            inherited = [self._wake_in, self._wake_out, *(w.channel.sock for w in self._workers.values())]
            worker = Worker(self._context, self._setup, f"h5part-worker-{self._started}", inherited)
        except Exception as e:
            if not self._workers:
                self._break(e)
            return False
        self._workers[worker.pid] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, (worker, False))
        self._selector.register(worker.end, selectors.EVENT_READ, (worker, True))
        return True

    def _hand(self, worker: Worker, task: Task, *, ahead: bool = False) -> None:
        self._number += 1
        task.number = self._number
        kind = task.kind
        if ahead:
            worker.next = task
            kind += worker.put_token(task)
        else:
            worker.task = task
            worker.was_ahead = False
            task.future.started = True
        try:
            chunk = task.chunk
            if chunk is None:
                sent = worker.channel.send(kind, task.number, task.head(), task.payload)
            else:
                function = chunk.function
                if worker.function != function.number:
                    worker.channel.send(_wire.FUNCTION, 0, function.data)
                    worker.function = function.number
                apart = b"\1" if chunk.apart else b"\0"
                sent = worker.channel.send(kind, task.number, task.head(), apart, task.payload)
        except OSError:
            return  # It has died; its end will be reported, and the task retried.
        if not sent:
            self._selector.modify(worker.channel, selectors.EVENT_READ | selectors.EVENT_WRITE, (worker, False))

    def _on_channel(self, worker: Worker) -> None:
        try:
            if self._selector.get_key(worker.channel).events & selectors.EVENT_WRITE and worker.channel.flush():
                self._selector.modify(worker.channel, selectors.EVENT_READ, (worker, False))
        except OSError:
            pass  # Reading tells the same.
        frames, is_open = worker.channel.receive()
        for frame in frames:
            self._on_frame(worker, frame)
        if not is_open:
            # A worker without its socket is of no use, even if it lives.
            self._selector.unregister(worker.channel)
            if not worker.leaving:
                worker.kill()

    def _on_frame(self, worker: Worker, frame: Frame) -> None:
        if frame.kind == _wire.READY:
            worker.ready = self._was_ready = True
            self._failed_starts = 0
        elif frame.kind == _wire.PART:
            if worker.task is not None and not worker.task.future.done():
                self._on_part(worker, worker.task, frame)
            return
        elif frame.kind == _wire.BROKEN:
            worker.leaving = worker.told = True
            self._break(_errors.unpack(frame.body))
            return
        else:
            task = worker.advance()
            if task is not None and not task.future.done():
                self._on_result(task, frame)
        if not worker.leaving and worker.task is None:
            self._idle.append(worker)

    def _on_result(self, task: Task, frame: Frame) -> None:
        try:
            results, error = self._unpickle(frame)
        except BaseException as e:
            hint = f"cannot unpickle the result of the task: {e}"
            results, error = [], TaskError(hint, cause=type(e).__qualname__)
        if task.chunk is None:
            if error is None:
                self._finish(task.future, results)
            elif not self._retry(task, error):
                self._fail(task.future, error)
        else:
            self._on_items(task, task.chunk, results, error)

    def _on_part(self, worker: Worker, task: Task, frame: Frame) -> None:
        view = memoryview(frame.body)
        if task.on_part is None or int.from_bytes(view[:8], "little") < task.given:
            return
        error: BaseException
        try:
            value = pickle.loads(view[8:])
            task.given += 1
            task.on_part(value)
            return
        except pickle.UnpicklingError as e:
            error = TaskError(f"cannot unpickle a result of the task: {e}")
        except BaseException as e:
            error = e
        self._fail(task.future, error)
        worker.told = True
        worker.kill()

    @staticmethod
    def _unpickle(frame: Frame) -> tuple[Any, BaseException | None]:
        value = pickle.loads(frame.body)
        if frame.kind == _wire.DONE:
            return value, None
        results, error = value
        return results, _errors.unpack(error)

    def _on_items(self, task: Task, chunk: Chunk, results: list[Any], error: BaseException | None) -> None:
        try:
            is_full = chunk.fill(task, results)
        except BaseException as e:
            self._fail(task.future, TaskError(f"cannot unpickle the result of the task: {e}"))
            return
        if error is not None:
            rest = task.rest(len(results)) if results else task
            if not self._retry(rest, error):
                self._fail(task.future, chunk.failure(error))
        elif is_full:
            self._finish(task.future, chunk.result())

    def _retry(self, task: Task, error: BaseException) -> bool:
        if not isinstance(error, self._retry_on) or task.attempts >= self._retries or self._terminating:
            return False
        task.attempts += 1
        self._queue.append(task)
        return True

    def _on_end(self, worker: Worker) -> None:
        """A worker process has ended."""
        if worker.channel.fileno() in self._selector.get_map():
            # What it sent before it died still counts.
            frames, _ = worker.channel.receive()
            for frame in frames:
                self._on_frame(worker, frame)
            self._selector.unregister(worker.channel)
        self._selector.unregister(worker.end)
        del self._workers[worker.pid]
        if worker in self._idle:
            self._idle.remove(worker)
        # Neither of these was begun.
        for task in (worker.next, worker.take_back_task()):
            if task is not None:
                self._queue.appendleft(task)
        code, name = worker.reap()
        if worker.task is not None:
            self._lose(worker, worker.task, code, name)
        elif not worker.ready and not worker.told:
            self._on_failed_start(worker, code, name)

    def _lose(self, worker: Worker, task: Task, code: int | None, name: str | None) -> None:
        """A worker died with a task."""
        if task.future.done():
            return
        if task.stop - task.start > 1:
            # Nobody knows which of the items it was: each gets a try by itself.
            self._queue.extendleft(reversed(task.singles()))
            return
        task.attempts += 1
        if task.attempts <= self._retries and not self._terminating:
            self._queue.appendleft(task)
            return
        times = f" (attempt {task.attempts})" if task.attempts > 1 else ""
        error: BaseException = WorkerDied(
            f"the worker with pid {worker.pid} ended {_how(code, name)} while it had a task{times}",
            pid=worker.pid,
            exitcode=code,
            signal=name,
            item=task.item(),
            attempts=task.attempts,
        )
        if task.chunk is not None:
            error = task.chunk.failure(error)
        self._fail(task.future, error)

    def _on_failed_start(self, worker: Worker, code: int | None, name: str | None) -> None:
        self._failed_starts += 1
        most = _MOST_FAILED_STARTS_LATER if self._was_ready else _MOST_FAILED_STARTS
        # An exit code is an exception at import: it would be the same the next time.
        if self._failed_starts < most and (self._was_ready or code is None):
            return
        message = f"the worker with pid {worker.pid} ended {_how(code, name)} before it was ready"
        if code is not None:
            message += (
                "; its traceback is on stderr. Workers import the main module. If that starts work, put the work under "
                "`if __name__ == '__main__':`, or pass context='fork'"
            )
        elif self._failed_starts > 1:
            message += f", the last of {self._failed_starts} in succession"
        self._break(WorkerDied(message, pid=worker.pid, exitcode=code, signal=name))

    def _on_revoked(self, future: PoolFuture[Any]) -> None:
        if future.told:
            return
        self._tell_cancelled(future)
        for worker in list(self._workers.values()):
            if worker.next is not None and worker.next.future is future:
                worker.take_back_next()
            if any(task is not None and task.future is future for task in (worker.task, worker.next)):
                worker.told = True
                worker.kill()

    # ---- ends of futures; only here are they told

    def _finish(self, future: PoolFuture[Any], result: object) -> None:
        if future.set_running_or_notify_cancel():
            future.set_result(result)
        self._count(future)

    def _fail(self, future: PoolFuture[Any], error: BaseException) -> None:
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
        self._count(future)

    def _tell_cancelled(self, future: PoolFuture[Any]) -> None:
        future.set_running_or_notify_cancel()
        self._count(future)

    def _count(self, future: PoolFuture[Any]) -> None:
        future.told = True
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._idle_now.notify_all()

    def _cancel_queue(self) -> None:
        self._cancelling = False
        ahead = [task for worker in self._workers.values() if (task := worker.take_back_next()) is not None]
        for task in [*ahead, *self._take_queue()]:
            if not task.future.told:
                task.future.cancel()
                self._tell_cancelled(task.future)

    def _take_queue(self) -> list[Task]:
        with self._lock:
            tasks = list(self._queue)
            self._queue.clear()
        return tasks

    def _break(self, error: BaseException) -> None:
        """Workers cannot start: what waits fails, and what is submitted."""
        with self._lock:
            self._broken = error
        for task in self._take_queue():
            if not task.future.told:
                self._fail(task.future, error)

    # ---- the end

    def _leave(self) -> bool:
        """Dismisses the workers once all tasks have ended. True: all are gone."""
        if self._queue or any(w.task is not None for w in self._workers.values()):
            return False
        for worker in self._workers.values():
            if not worker.leaving:
                # One that is starting reads it when it is ready.
                worker.dismiss()
        self._exit_by = self._exit_by or time.monotonic() + _EXIT_S
        if time.monotonic() > self._exit_by:
            return True
        return not self._workers

    def _end(self) -> None:
        """Kills what is left, and closes everything."""
        for worker in list(self._workers.values()):
            worker.kill()
        for worker in list(self._workers.values()):
            for task in (worker.task, worker.next):
                if task is not None and not task.future.told:
                    task.future.cancel()
                    self._tell_cancelled(task.future)
            worker.reap()
        self._workers.clear()
        with self._lock:
            self._closed = True
        self._cancel_queue()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()


def _how(code: int | None, name: str | None) -> str:
    """How a process ended, in words."""
    if name is not None:
        return f"by {name}"
    return f"with exit code {code}" if code is not None else "in an unknown way"


_alive: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


_main_file: str | None = None


def _remember_main() -> None:
    global _main_file
    _main_file = getattr(sys.modules.get("__main__"), "__file__", None) or _main_file


def end_all(*, terminate: bool = False) -> None:
    """Ends all pools of this process."""
    alive = list(_alive)
    for dispatcher in alive:
        dispatcher.close(terminate=terminate)
    for dispatcher in alive:
        dispatcher.join()


def _at_exit() -> None:
    main = sys.modules.get("__main__")
    if main is not None and _main_file is not None and not hasattr(main, "__file__"):
        # Python has taken it away, and workers that start now have to import the main module.
        main.__file__ = _main_file
    # Python waits for what was submitted, as it does for the executors of the standard library. A program
    # that ends with an exception does not: Ctrl-C has to leave no worker behind.
    end_all(terminate=getattr(sys, "last_type", None) is not None)


def _in_child() -> None:
    for dispatcher in list(_alive):
        dispatcher.forget()
    _alive.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
