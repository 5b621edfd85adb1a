"""Frames between the pool and a worker: a head, then bytes.

The pool's end never blocks, so one worker that is stopped while it sends
cannot hold up the others. The worker's end blocks.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from typing import NamedTuple

# From the pool to a worker.
CALL, MAP, FUNCTION, EXIT, STREAM = 1, 2, 3, 4, 5
# Added to a task that waits behind another: the worker has to take its token first.
AHEAD = 0x80
# The task's token is in the second pipe, not the first.
SECOND = 0x40
# From a worker to the pool.
READY, DONE, FAILED, BROKEN, PART = 11, 12, 13, 14, 15

_HEAD = struct.Struct("<QBQ")
_READ = 1 << 16
_READ_LARGE = 1 << 20

Buffer = bytes | bytearray | memoryview


class Frame(NamedTuple):
    """One message."""

    kind: int
    number: int
    body: Buffer


class Channel:
    """One end of a socket pair."""

    def __init__(self, sock: socket.socket, *, blocking: bool) -> None:
        sock.setblocking(blocking)
        self.sock = sock
        self._blocking = blocking
        self._in = bytearray()
        self._frames: deque[Frame] = deque()
        self._out: deque[memoryview] = deque()
        # A frame larger than one read: its head, its bytes, how many of them are there.
        self._large: tuple[int, int, bytearray] | None = None
        self._filled = 0

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def send(self, kind: int, number: int, *parts: Buffer) -> bool:
        """Sends a frame. False: some of it waits for `flush`."""
        size = sum(len(part) for part in parts)
        head = _HEAD.pack(size, kind, number)
        if not self._out and size < _READ:
            # One small buffer is one system call and no bookkeeping.
            data = memoryview(b"".join((head, *parts)))
            self._out.append(data)
        else:
            self._out.extend(memoryview(part) for part in (head, *parts) if len(part))
        return self.flush()

    def flush(self) -> bool:
        """Sends what waits. False: the other end has to read first."""
        out = self._out
        while out:
            try:
                sent = self.sock.send(out[0])
            except BlockingIOError:
                return False
            if sent < len(out[0]):
                out[0] = out[0][sent:]
            else:
                out.popleft()
        return True

    def wait(self) -> Frame | None:
        """Blocks until a frame is there. None: the other end is closed."""
        while not self._frames:
            if not self._read_once():
                return None
        return self._frames.popleft()

    def receive(self) -> tuple[list[Frame], bool]:
        """Returns the frames that have arrived, and whether the other end is open."""
        is_open = True
        try:
            while is_open := self._read_once():
                if self._large is None:
                    # The selector is level-triggered: it reports what is left.
                    break
        except BlockingIOError:
            pass
        except OSError:
            is_open = False
        frames = list(self._frames)
        self._frames.clear()
        return frames, is_open

    def _read_once(self) -> bool:
        if self._large is not None:
            kind, number, body = self._large
            view = memoryview(body)[self._filled : self._filled + _READ_LARGE]
            got = self.sock.recv_into(view)
            self._filled += got
            if got and self._filled == len(body):
                self._frames.append(Frame(kind, number, body))
                self._large = None
            return got > 0
        data = self.sock.recv(_READ)
        if not data:
            return False
        self._in += data
        self._parse()
        return True

    def _parse(self) -> None:
        data, at = self._in, 0
        while len(data) - at >= _HEAD.size:
            size, kind, number = _HEAD.unpack_from(data, at)
            start = at + _HEAD.size
            if len(data) - start >= size:
                at = start + size
                self._frames.append(Frame(kind, number, bytes(data[start:at])))
                continue
            if size > _READ:
                body = bytearray(size)
                self._filled = len(data) - start
                body[: self._filled] = data[start:]
                self._large = (kind, number, body)
                at = len(data)
            break
        del data[:at]


class Tokens:
    """Who owns a task that was sent ahead: the worker it was sent to, or the pool.

    A pipe that both ends read. The pool puts a task's token in before it sends
    the task. The worker takes it out before it begins the task; the pool takes
    it out to give the task to another worker. Only one of them gets it.
    """

    SIZE = 8

    def __init__(self, read: int) -> None:
        self._read = read
        # The worker may find the token of a later task, if the pool took that of this one.
        self._held: int | None = None

    def take(self, number: int) -> bool:
        """Takes the token of a task. False: the other end has it."""
        if self._held is None:
            try:
                data = os.read(self._read, self.SIZE)
            except BlockingIOError:
                return False
            self._held = int.from_bytes(data, "little")
        if self._held != number:
            return False
        self._held = None
        return True


def put_token(write: int, number: int) -> None:
    """Puts in the token of a task. A write of so few bytes is whole."""
    os.write(write, number.to_bytes(Tokens.SIZE, "little"))
