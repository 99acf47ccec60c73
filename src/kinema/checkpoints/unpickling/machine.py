"""An interpreter of pickles that makes plain values alone, in bounded time and memory.

Python's own unpickler hands what a file says to C code that trusts it: it sets attributes and items
of anything, hashes keys of any depth, and takes positions and sizes as they come. Here each
operation is a few lines that check first. The caller says what names and calls lead to, see
`kinema.checkpoints.unpickling.names`.
"""

import codecs
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

from kinema.checkpoints.unpickling.bounds import TUPLE_KEYS, Budget, add_pairs, check_key
from kinema.checkpoints.unpickling.stand_ins import Callee, Inert, InertClass, named, refused
from kinema.errors import CheckpointError

TEXT_BYTES = 8 << 20  # of one text
LINE_BYTES = 1 << 16  # of a name or number that is written as text
INTEGER_BYTES = 256

_MARK = object()


class PickleMachine:
    """Runs one pickle of a stream.

    Args:
        stream: at the beginning of the pickle; left behind its end.
        end: position at which the stream ends, in bytes.
        budget: of memory, shared by the pickles of one file.
        find: `find(module, name)` gives what a name stands for: a `Callee`, an `InertClass`, or a
            plain value.
        set_state: `set_state(object, state)` sets the state of an object.
        persistent: gives what a persistent id stands for; None: there are none.
    """

    def __init__(
        self,
        stream: BinaryIO,
        end: int,
        budget: Budget,
        *,
        find: Callable[[str, str], Any],
        set_state: Callable[[Any, Any], None],
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self._stream = stream
        self._end = end
        self._take = budget.take
        self._find = find
        self._set_state_of = set_state
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._tuple_keys = 0

    def run(self) -> Any:
        """The object that the pickle makes.

        Raises:
            CheckpointError: it is damaged, or does what it must not.
        """
        read, take, operations = self._stream.read, self._take, _OPERATIONS
        while True:
            code = read(1)
            if code == b".":
                return self._pop()
            operation = operations.get(code)
            if operation is None:
                raise CheckpointError(
                    f"is not a checkpoint: it has the unknown operation {code!r} in its pickle"
                    if code
                    else "is cut off: its pickle has no end"
                )
            take(12)
            operation(self)

    # ---- the stream

    def _read(self, count: int) -> bytes:
        if count > 64 and count > self._end - self._stream.tell():
            raise CheckpointError("is cut off, or damaged: a value in it is longer than the file")
        data = self._stream.read(count)
        if len(data) != count:
            raise CheckpointError("is cut off: its pickle has no end")
        return data

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._read(struct.calcsize(layout)))[0]

    def _line(self, most: int = LINE_BYTES) -> bytes:
        line = self._stream.readline(most)
        if not line.endswith(b"\n"):
            raise CheckpointError("is damaged: a line of its pickle has no end")
        return line[:-1].removesuffix(b"\r")

    # ---- the stack

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise CheckpointError("is damaged: its pickle takes what is not there")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise CheckpointError("is damaged: its pickle takes what is not there")
        return self._stack[-1]

    def _popped_to_mark(self) -> list[Any]:
        stack = self._stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is _MARK:
                values = stack[at + 1 :]
                del stack[at:]
                return values
        raise CheckpointError("is damaged: its pickle takes what is not there")

    def _push(self, value: Any, cost: int = 0) -> None:
        if cost:
            self._take(cost)
        self._stack.append(value)

    # ---- texts and numbers

    def _text(self, layout: str) -> None:
        count = self._number(layout)
        if count > TEXT_BYTES:
            raise CheckpointError(f"holds a text of {count} bytes; {TEXT_BYTES} is the most")
        self._push_text(self._read(count))

    def _push_text(self, data: bytes) -> None:
        text = str(data, "utf-8", "surrogatepass")
        self._push(text, sys.getsizeof(text))

    def _bytes(self, layout: str) -> None:
        count = self._number(layout)
        self._take(count)
        self._push(self._read(count), 40)

    def _old_text(self, data: bytes) -> None:
        """A `str` of Python 2: a text where it can be one."""
        if len(data) > TEXT_BYTES:
            self._push(data, len(data))
            return
        try:
            self._push_text(data)
        except UnicodeDecodeError:
            self._push(data, len(data))

    def _old_string(self, layout: str) -> None:
        count = self._number(layout)
        if count < 0:
            raise CheckpointError("is damaged: a value in it has a negative length")
        self._take(count)
        self._old_text(self._read(count))

    def _written_string(self) -> None:
        line = self._line(TEXT_BYTES)
        if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:]:
            raise CheckpointError("is damaged: a text in it is not closed")
        self._old_text(codecs.escape_decode(line[1:-1])[0])

    def _written_text(self) -> None:
        text = str(self._line(TEXT_BYTES), "raw-unicode-escape")
        self._push(text, sys.getsizeof(text))

    def _written_integer(self) -> None:
        line = self._line()
        if line in (b"00", b"01"):
            self._push(line == b"01")
        else:
            self._push(int(line.removesuffix(b"L")), 48 + len(line))

    def _long(self, layout: str) -> None:
        count = self._number(layout)
        if not 0 <= count <= INTEGER_BYTES:
            raise CheckpointError(f"holds a whole number of {count} bytes")
        self._push(int.from_bytes(self._read(count), "little", signed=True), 40 + count)

    # ---- containers

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(values)), 48 + 8 * count)

    def _marked_tuple(self) -> None:
        values = self._popped_to_mark()
        self._push(tuple(values), 48 + 8 * len(values))

    def _marked_list(self) -> None:
        values = self._popped_to_mark()
        self._push(values, 64 + 9 * len(values))

    def _marked_dict(self) -> None:
        values = self._popped_to_mark()
        self._push({}, 72)
        self._set_items(values)

    def _frozen_set(self) -> None:
        values = self._popped_to_mark()
        self._push(frozenset(self._hashable(values)))

    def _hashable(self, values: list[Any]) -> list[Any]:
        self._take(220 + 72 * len(values))
        self._tuple_keys += sum(check_key(value) for value in values)
        if self._tuple_keys > TUPLE_KEYS:
            raise CheckpointError(f"has more than {TUPLE_KEYS} keys that are tuples")
        return values

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list and not isinstance(target, Inert):
            raise CheckpointError(f"appends to a {type(target).__name__}, which weights do not need")
        self._take(9 * len(values))
        (target.items if isinstance(target, Inert) else target).extend(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        pairs = zip(values[::2], values[1::2], strict=True)
        self._take(110 * (len(values) // 2))
        if isinstance(target, Inert):
            target.items.extend(pairs)
        elif type(target) in (dict, OrderedDict):
            self._tuple_keys = add_pairs(target, pairs, self._tuple_keys)
        else:
            raise CheckpointError(f"sets an item of a {type(target).__name__}, which weights do not need")

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _add_items(self) -> None:
        values = self._popped_to_mark()
        target = self._top()
        if isinstance(target, Inert):
            self._take(9 * len(values))
            target.items.extend(values)
        elif type(target) is set:
            target.update(self._hashable(values))
        else:
            raise CheckpointError(f"adds to a {type(target).__name__}, which weights do not need")

    # ---- the memo

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise CheckpointError(f"is damaged: its pickle has no value {index}")
        self._stack.append(self._memo[index])

    def _put(self, index: int) -> None:
        self._take(100)
        self._memo[index] = self._top()

    # ---- names, calls, objects

    def _global(self) -> None:
        module, name = str(self._line(), "utf-8"), str(self._line(), "utf-8")
        self._push(self._find(module, name), 64)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise CheckpointError("is damaged: it names something by what is no text")
        self._push(self._find(module, name), 64)

    def _call(self, function: Any, args: Any) -> None:
        if isinstance(function, InertClass):
            raise refused(function.__qualname__)
        if not isinstance(function, Callee) or type(args) is not tuple:
            raise refused(f"a {type(function).__name__}")
        # What functions copy: elements of dicts and sets take most.
        sized = sum(len(value) for value in args if type(value) in (str, bytes, bytearray))
        counted = sum(len(value) for value in args if type(value) in (list, tuple, dict, set, frozenset, OrderedDict))
        self._push(function.function(*args), 240 + sized + 120 * counted)

    def _new(self, kind: Any, args: Any) -> None:
        if not isinstance(kind, InertClass):
            self._call(kind, args)
        elif type(args) is not tuple:
            raise CheckpointError("is damaged: it makes an object of what are no arguments")
        else:
            self._push(Inert.of(kind, args), 400 + 8 * len(args))

    def _reduce(self) -> None:
        args, function = self._pop(), self._pop()
        self._call(function, args)

    def _new_object(self) -> None:
        args, kind = self._pop(), self._pop()
        self._new(kind, args)

    def _new_object_by_keywords(self) -> None:
        keywords, args, kind = self._pop(), self._pop(), self._pop()
        if type(keywords) is not dict or (keywords and not isinstance(kind, InertClass)):
            raise refused(f"{named(kind)} with keywords")
        self._new(kind, (*args, keywords) if keywords else args)

    def _instance(self) -> None:
        kind = self._find(str(self._line(), "utf-8"), str(self._line(), "utf-8"))
        self._old_instance(kind, self._popped_to_mark())

    def _object(self) -> None:
        kind, *args = self._popped_to_mark() or [None]
        self._old_instance(kind, args)

    def _old_instance(self, kind: Any, args: list[Any]) -> None:
        """An object of a class of Python 2's first kind, which is made like a call."""
        self._call(kind, tuple(args))

    def _set_state(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(state, bytes | str | tuple):
            values = state if type(state) is tuple else (state,)
            self._take(sum(len(value) for value in values if type(value) is bytes))
        self._set_state_of(target, state)

    def _persistent_id(self) -> None:
        name = self._pop()
        if self._persistent is None:
            raise CheckpointError("is damaged: it has a storage where none can be")
        self._push(self._persistent(name), 200)

    def _pop_one(self) -> None:
        if not self._stack:
            raise CheckpointError("is damaged: its pickle takes what is not there")
        self._stack.pop()

    def _protocol(self) -> None:
        if self._number("<B") > 5:
            raise CheckpointError("is not a checkpoint: its pickle is of an unknown protocol")


def _operations() -> dict[bytes, Callable[[PickleMachine], Any]]:
    m = PickleMachine
    return {
        b"\x80": m._protocol,
        b"\x95": lambda s: s._read(8),  # FRAME: only how the pickle was cut up
        b"(": lambda s: s._stack.append(_MARK),
        b"0": m._pop_one,
        b"1": lambda s: s._popped_to_mark(),
        b"2": lambda s: s._push(s._top()),
        b"N": lambda s: s._stack.append(None),
        b"\x88": lambda s: s._stack.append(True),
        b"\x89": lambda s: s._stack.append(False),
        b"K": lambda s: s._stack.append(s._number("<B")),
        b"M": lambda s: s._push(s._number("<H"), 32),
        b"J": lambda s: s._push(s._number("<i"), 32),
        b"G": lambda s: s._push(s._number(">d"), 24),
        b"F": lambda s: s._push(float(s._line()), 24),
        b"I": m._written_integer,
        b"L": m._written_integer,
        b"\x8a": lambda s: s._long("<B"),
        b"\x8b": lambda s: s._long("<i"),
        b"X": lambda s: s._text("<I"),
        b"\x8c": lambda s: s._text("<B"),
        b"\x8d": lambda s: s._text("<Q"),
        b"V": m._written_text,
        b"B": lambda s: s._bytes("<I"),
        b"C": lambda s: s._bytes("<B"),
        b"\x8e": lambda s: s._bytes("<Q"),
        b"\x96": lambda s: s._bytes("<Q"),
        b"S": m._written_string,
        b"T": lambda s: s._old_string("<i"),
        b"U": lambda s: s._old_string("<B"),
        b")": lambda s: s._stack.append(()),
        b"\x85": lambda s: s._tuple(1),
        b"\x86": lambda s: s._tuple(2),
        b"\x87": lambda s: s._tuple(3),
        b"t": m._marked_tuple,
        b"]": lambda s: s._push([], 64),
        b"l": m._marked_list,
        b"a": lambda s: s._append([s._pop()]),
        b"e": lambda s: s._append(s._popped_to_mark()),
        b"}": lambda s: s._push({}, 64),
        b"d": m._marked_dict,
        b"s": m._set_item,
        b"u": lambda s: s._set_items(s._popped_to_mark()),
        b"\x8f": lambda s: s._push(set(), 220),
        b"\x90": m._add_items,
        b"\x91": m._frozen_set,
        b"g": lambda s: s._get(int(s._line())),
        b"h": lambda s: s._get(s._number("<B")),
        b"j": lambda s: s._get(s._number("<I")),
        b"p": lambda s: s._put(int(s._line())),
        b"q": lambda s: s._put(s._number("<B")),
        b"r": lambda s: s._put(s._number("<I")),
        b"\x94": lambda s: s._put(len(s._memo)),
        b"c": m._global,
        b"\x93": m._stack_global,
        b"R": m._reduce,
        b"\x81": m._new_object,
        b"\x92": m._new_object_by_keywords,
        b"i": m._instance,
        b"o": m._object,
        b"b": m._set_state,
        b"Q": m._persistent_id,
    }


_OPERATIONS = _operations()
