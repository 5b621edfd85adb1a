"""How an exception of a task travels from the worker to the pool."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

from h5part.errors import TaskError


class RemoteTraceback(Exception):
    """The traceback in the worker, shown as the cause of the exception."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


def pack(error: BaseException, *, skip: int = 0) -> bytes:
    """Pickles an exception; one that does not survive that becomes a `TaskError`.

    Parameters
    ----------
    error : BaseException
    skip : int
        Frames of our own at the start of the traceback.
    """
    trace = error.__traceback__
    for _ in range(skip):
        trace = trace.tb_next if trace is not None else None
    text = "".join(traceback.format_exception(type(error), error, trace))
    try:
        data = pickle.dumps(error)
        # Many exceptions pickle, but fail to unpickle: their __init__ wants more arguments.
        back = pickle.loads(data)
        if type(back) is not type(error):
            raise TypeError
    except Exception:
        data = pickle.dumps(as_task_error(error, text))
    return pickle.dumps((data, text))


def as_task_error(error: BaseException, text: str) -> TaskError:
    name = type(error).__qualname__
    try:
        said = str(error)
    except Exception:
        said = "(its text is not available)"
    return TaskError(f"the task raised {name}: {said}", cause=name, traceback=text)


def unpack(body: Any) -> BaseException:
    """Returns the exception that a worker sent, with its traceback as the cause."""
    text = ""
    error: Any
    try:
        data, text = pickle.loads(body)
        error = pickle.loads(data)
    except BaseException as e:
        error = TaskError(f"cannot unpickle the exception of a task: {e}", cause=type(e).__qualname__, traceback=text)
    if not isinstance(error, BaseException):
        error = TaskError("the task raised something that is not an exception", traceback=text)
    result: BaseException = error
    if text and result.__cause__ is None:
        result.__cause__ = RemoteTraceback(text)
    return result
