"""Files that were made to crash, to hang, to fill the memory or to give wrong weights are refused in one line."""

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kinema.checkpoints.unpickling import load_restricted
from kinema.errors import CheckpointError
from kinema.models import read_checkpoint

HEAD = b"\x80\x02"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def several(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def call(module: str, name: str, *args: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + several(*args) + b"R"


def storage(numel: int, key: str = "0", kind: str = "FloatStorage", module: str = "torch") -> bytes:
    return several(text("storage"), f"c{module}\n{kind}\n".encode(), text(key), text("cpu"), number(numel)) + b"Q"


def tensor(made: bytes, size: list[int], stride: list[int], offset: int = 0) -> bytes:
    shapes = [several(*(number(one) for one in part)) for part in (size, stride)]
    return call("torch._utils", "_rebuild_tensor_v2", made, number(offset), *shapes, b"\x89", b"}")


def array(shape: bytes, code: str, content: bytes) -> bytes:
    dtype = call("numpy", "dtype", text(code), number(0), number(1))
    fresh = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", several(number(0)), b"C\x01b")
    return fresh + several(number(1), shape, dtype, b"\x89", content) + b"b"


def archive(program: bytes, records: dict[str, bytes] | None = None, how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as made:
        made.writestr("archive/data.pkl", program)
        for name, content in (records or {}).items():
            made.writestr(f"archive/{name}", content)
    return file.getvalue()


def shared_tuples(count: int) -> bytes:
    """A tuple of a tuple twice, of a tuple twice, ...: 2^count values in a few bytes."""
    return b")\x85" + b"".join(bytes([ord("q"), i, ord("h"), i, 0x86]) for i in range(count))


SHORT_LIST = b"](" + number(1) * 5 + b"e"
FLOATS = b"C\x10" + bytes(16)
HOSTILE = {
    "an array of more objects than its list has": (
        array(several(number(7)), "O8", SHORT_LIST),
        "an array whose content is not of its shape: 7 elements",
    ),
    "an array of a gigabyte": (array(several(number(10**9)), "O8", b"]"), "not of its shape: 1000000000 elements"),
    "an array longer than its bytes": (array(several(number(5)), "f4", FLOATS), "not of its shape: 5 elements"),
    "a shape of no numbers": (array(several(text("x")), "f4", FLOATS), "whose shape is no tuple of numbers"),
    "a negative shape": (array(several(number(-1)), "f4", FLOATS), "whose shape is no tuple of numbers"),
    "objects in an array": (
        array(several(number(1)), "O8", b"](" + b"}e"),
        "an array of objects that are no plain values",
    ),
    "bytes for an array of objects": (array(several(number(2)), "O8", FLOATS), "whose content is not of its type"),
    "a type that numpy does not have": (array(several(number(2)), "f3", FLOATS), "array of the unusual type 'f3'"),
    "an array filled twice": (
        array(several(number(4)), "f4", FLOATS)[:-1] + b"b" + several(number(1)) + b"b",
        "it fills an array in an unknown way",
    ),
    "an array from a buffer that is longer": (
        call("numpy._core.numeric", "_frombuffer", FLOATS, call("numpy", "dtype", text("f4")), several(number(9)), text("C")),
        "not of its shape: 9 elements",
    ),
    "an array from a buffer that is a text": (
        call("numpy._core.numeric", "_frombuffer", text("x"), call("numpy", "dtype", text("f4")), several(), text("C")),
        "whose content is not of its type",
    ),
    "a key hashed 2^60 times": (b"}" + shared_tuples(60) + b"K\x01s", "key is a tuple of more than 64 values"),
    "a key 200000 deep": (b"})" + b"\x85" * 200_000 + b"K\x01s", "key is a tuple of more than 64 values"),
    "a key that is a list": (b"}]K\x01s", "a key that is no plain value: a list"),
    "a set of dicts": (call("builtins", "set", b"](}e"), "a key that is no plain value: a dict"),
    "a frozen set of lists": (b"(]\x91", "a key that is no plain value: a list"),
    "a key whose hash is chosen": (b"}\x8a\x0a" + bytes(9) + b"\x01K\x01s", "a key that is no plain value: a int"),
    "many keys that are tuples": (
        b"}(" + b"".join(number(i) + b"\x85N" for i in range(1100)) + b"u",
        "more than 1000 keys that are tuples",
    ),
    "many elements that are tuples": (
        b"(" + b"".join(number(i) + b"\x85" for i in range(1100)) + b"\x91",
        "more than 1000 keys that are tuples",
    ),
    "a set of many tuples": (
        call("builtins", "set", b"](" + b"".join(number(i) + b"\x85" for i in range(1100)) + b"e"),
        "more than 1000 keys that are tuples",
    ),
    "an item of a tensor": (tensor(storage(4), [4], [1]) + b"K\x00K\x01s", "sets an item of a Tensor"),
    "an element of a tensor": (tensor(storage(4), [4], [1]) + b"K\x00a", "appends to a Tensor"),
    "an element of a set of numbers": (b"](K\x01\x90", "adds to a list"),
    "attributes of a tensor": (tensor(storage(4), [4], [1]) + b"}b", "sets the attributes of a Tensor"),
    "lists in lists": (b"]" + b"]" * 300 + b"a" * 300, "nested deeper than 100"),
    "a list in itself": (b"]q\x00h\x00a", "contains itself"),
    "a billion laughs": (
        b"]" + b"".join(bytes([ord("q"), i]) + b"](" + bytes([ord("h"), i]) * 10 + b"e" for i in range(12)),
        "shared too often",
    ),
    "copies of copies": (
        b"](" + b"K\x01" * 100_000 + b"eq\x00(" + b"c__builtin__\nlist\nh\x00\x85R" * 2000 + b"l",
        "makes more objects than a file of its size should",
    ),
    "a number of a million digits": (b"\x8b" + struct.pack("<i", 10**6) + bytes(10**6), "a whole number of 1000000 bytes"),
    "a text longer than the file": (b"X" + struct.pack("<I", 2**21), "a value in it is longer than the file"),
    "a text of gigabytes": (b"X" + struct.pack("<I", 2**31), "holds a text of 2147483648 bytes"),
    "a text of a negative length": (b"T" + struct.pack("<i", -5), "negative length"),
    "a text that is not closed": (b"S'x\n", "a text in it is not closed"),
    "a line that does not end": (b"cos", "a line of its pickle has no end"),
    "a memo that is empty": (b"h\x07", "its pickle has no value 7"),
    "a stack that is empty": (b"\x85", "takes what is not there"),
    "a stack without a mark": (b"t", "takes what is not there"),
    "nothing to remember": (b"q\x00", "takes what is not there"),
    "nothing to drop": (b"0", "takes what is not there"),
    "an extension": (b"\x82\x01", "the unknown operation"),
    "a later protocol": (b"\x80\x09N", "of an unknown protocol"),
    "a name of numbers": (b"K\x01K\x02\x93", "names something by what is no text"),
    "arguments that are none": (b"cos\nnice\nK\x01\x81", "an object of what are no arguments"),
    "keywords of a known function": (
        b"cbuiltins\nset\n)}(" + text("a") + b"K\x01u\x92",
        "calls builtins.set with keywords",
    ),
    "a call of a number": (b"K\x01)R", "calls a int"),
    "a storage that is not there": (tensor(storage(4, "9"), [4], [1]), "storage '9' should be 16 bytes .* not there"),
    "more elements than the storage has": (tensor(storage(10**6), [10**6], [1]), "should be 4000000 bytes of the file, it is 16"),
    "a view beyond the storage": (tensor(storage(4), [5], [1]), "beyond its storage: element 4 of 4"),
    "strides beyond the storage": (tensor(storage(4), [2, 2], [3, 1]), "beyond its storage: element 4 of 4"),
    "an offset beyond the storage": (tensor(storage(4), [1], [1], 4), "beyond its storage: element 4 of 4"),
    "a negative offset": (tensor(storage(4), [1], [1], -1), "shape, strides or offset are no plain numbers"),
    "a negative stride": (tensor(storage(4), [2], [-1]), "shape, strides or offset are no plain numbers"),
    "fewer strides than dimensions": (tensor(storage(4), [2, 2], [1]), "shape, strides or offset are no plain numbers"),
    "a terabyte by a stride of zero": (tensor(storage(4), [2**20, 2**18], [0, 0]), "larger than the file"),
    "a tensor of a list": (tensor(b"]", [1], [1]), "makes a tensor of a list"),
    "quantized numbers": (tensor(storage(4, kind="QInt8Storage"), [1], [1]), "a storage of an unknown type"),
    "a storage without a name": (b"K\x01Q", "names a storage in an unknown way"),
    "a storage of minus one": (tensor(storage(-1), [1], [1]), "names a storage in an unknown way"),
    "a tensor of no type": (
        call("torch._utils", "_rebuild_tensor_v3", storage(4), *[number(0)] * 5, text("x")),
        "has a tensor of an unknown type",
    ),
    "a parameter that is none": (call("torch._utils", "_rebuild_parameter", b"N", b"\x89", b"}"), "a parameter of what is no"),
    "a tensor made by another call": (
        call("torch._tensor", "_rebuild_from_type_v2", b"cbuiltins\nset\n", b"N", b")", b"}"),
        "calls torch._tensor._rebuild_from_type_v2 of",
    ),
    "a dict of no pairs": (call("builtins", "dict", b"](K\x01\x85e"), "a dict of what are no pairs"),
    "a list of a text": (call("builtins", "list", text("x" * 9)), "makes a list of a str"),
    "bytes of a number": (call("builtins", "bytes", number(10**9)), "calls builtins.bytes of what is no bytes"),
    "a complex number of texts": (call("builtins", "complex", text("1")), "of what are no numbers"),
    "a path of numbers": (call("pathlib", "PosixPath", number(1)), "a path of what are no texts"),
    "a size of texts": (call("torch", "Size", several(text("1"))), "a size of what are no numbers"),
    "a device of a list": (call("torch", "device", b"]"), "a device of what is no name"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused(tmp_path: Path, name: str) -> None:
    program, said = HOSTILE[name]
    (tmp_path / "a.pth").write_bytes(archive(HEAD + program + b".", {"data/0": bytes(16)}))
    with pytest.raises(CheckpointError, match=rf"a\.pth .*{said}"):
        load_restricted(tmp_path / "a.pth")


def test_a_memo_index_takes_no_memory_of_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(archive(HEAD + b"}r" + struct.pack("<I", 2**32 - 1) + b"."))
    assert load_restricted(tmp_path / "a.pth").content == {}


def test_attributes_of_a_state_dict_do_not_hide_its_methods(tmp_path: Path) -> None:
    program = call("collections", "OrderedDict") + b"}(" + text("items") + b"K\x01" + text("_metadata") + b"}u" + b"b"
    (tmp_path / "a.pth").write_bytes(archive(HEAD + program + b"."))
    content = load_restricted(tmp_path / "a.pth").content
    assert list(content.items()) == []
    assert content._metadata == {}


# ---- the archive


def legacy(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def directory_entry(whole: bytes, field: int, value: bytes) -> bytes:
    """`whole` with a field of the first entry of its directory changed."""
    at = whole.index(b"PK\1\2") + field
    return whole[:at] + value + whole[at + len(value) :]


PLAIN = archive(HEAD + b"}.", {"data/0": bytes(16)})
LEGACY = legacy({"state_dict": {"a": torch.arange(4.0)}})
ARCHIVES = {
    "compressed records": (archive(HEAD + b"}.", how=zipfile.ZIP_DEFLATED), "'archive/data.pkl' is compressed"),
    "no pickle": (PLAIN.replace(b"data.pkl", b"data.xyz"), "torch.save did not write this zip archive"),
    "no end": (PLAIN[:-1], "it is a damaged zip archive: its end is not there"),
    "a comment": (PLAIN[:-2] + b"\2\0ab", "its end is not there"),
    "too many records": (PLAIN[:-14] + b"\xfe\xff\xfe\xff" + PLAIN[-10:-2] + b"\0\0", "its directory is cut off"),
    "a directory beyond the file": (PLAIN[:-6] + struct.pack("<L", 2**30) + b"\0\0", "its directory is not in the file"),
    "a record elsewhere": (directory_entry(PLAIN, 42, struct.pack("<L", 4)), "a record is not there"),
    "a record longer than the file": (
        directory_entry(PLAIN, 20, struct.pack("<2L", 2**20, 2**20)),
        "is not where its directory says",
    ),
    "the same record twice": (archive(HEAD + b"}.", {"data/0": b"1", "data/1": b"2"}).replace(b"data/1", b"data/0"), "twice"),
    "an unknown byte order": (archive(HEAD + b"}.", {"byteorder": b"odd"}), "its byte order is 'odd'"),
    "a pickle that ends early": (archive(HEAD + b"}"), "is cut off: its pickle has no end"),
    "a tar archive": (bytes(257) + b"ustar" + bytes(300), "in the tar format of torch before 0.1.10"),
    "another beginning": (b"\x80\x02K\x01.", "torch.save did not write it"),
    "an older file that is cut off": (LEGACY[:-3], "a tensor in it is not whole"),
    "an older file without its storage": (LEGACY[:-20], "is not as long as it should be"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str) -> None:
    whole, said = ARCHIVES[name]
    (tmp_path / "a.pth").write_bytes(whole)
    with pytest.raises(CheckpointError, match=rf"a\.pth .*{said}"):
        load_restricted(tmp_path / "a.pth")


def test_records_inside_one_another_are_refused(tmp_path: Path) -> None:
    inner = archive(HEAD + b"}.", {"data/0": bytes(16)})
    outer = archive(HEAD + b"}.", {"data/1": inner})
    # The directory's entry of data/0 points into the record data/1, which holds a whole archive.
    start = outer.index(inner)
    with zipfile.ZipFile(io.BytesIO(inner)) as opened:
        entry = inner[inner.index(b"PK\1\2", inner.index(b"PK\1\2") + 1) : inner.index(b"PK\5\6")]
        place = opened.getinfo("archive/data/0").header_offset
    entry = entry[:42] + struct.pack("<L", start + place) + entry[46:]
    end = outer.rindex(b"PK\5\6")
    count, size, directory = struct.unpack("<H2L", outer[end + 10 : end + 20])
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count + 1, count + 1, size + len(entry), directory, 0)
    (tmp_path / "a.pth").write_bytes(outer[:end] + entry + tail)
    with pytest.raises(CheckpointError, match="its records overlap"):
        load_restricted(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b"N", "does not list its storages"),
        (b"]", "are not those that its tensors use"),
        (b"](" + text("7") + b"e", "are not those that its tensors use"),
    ],
)
def test_an_older_file_must_list_the_storages_of_its_tensors(tmp_path: Path, part: bytes, said: str) -> None:
    keys = LEGACY.rindex(b"\x80\x02]")
    end = LEGACY.index(b".", keys)
    (tmp_path / "a.pth").write_bytes(LEGACY[:keys] + HEAD + part + LEGACY[end:])
    with pytest.raises(CheckpointError, match=said):
        load_restricted(tmp_path / "a.pth")


def older(numel: int, part: bytes = b"N", again: int | None = None) -> bytes:
    """A file of the older kind with a storage of `numel` floats, named again with `again`."""
    head = LEGACY[: LEGACY.index(b".", LEGACY.index(b"type_sizes")) + 1]

    def named(count: int) -> bytes:
        return several(text("storage"), b"ctorch\nFloatStorage\n", text("0"), text("cpu"), number(count), part) + b"Q"

    content = b"]" + tensor(named(numel), [1], [1]) + b"a" + (named(again) + b"a" if again is not None else b"") + b"."
    return head + HEAD + content + HEAD + b"](" + text("0") + b"e." + struct.pack("<q", 4) + bytes(16)


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (older(10**9), "its tensors are larger than the file"),
        (older(4, again=5), "it gives two sizes of the storage '0'"),
        (older(4, several(text("1"), number(0), number(2))), "parts of others, as torch wrote before 0.4"),
    ],
)
def test_an_older_file_cannot_claim_more_than_it_holds(tmp_path: Path, whole: bytes, said: str) -> None:
    (tmp_path / "a.pth").write_bytes(whole)
    with pytest.raises(CheckpointError, match=said):
        load_restricted(tmp_path / "a.pth")


# ---- safetensors


def test_weights_are_no_view_of_a_safetensors_file(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"w": torch.arange(1e6)}, file)
    state = read_checkpoint(file).state
    with file.open("rb+") as stream:
        stream.seek(-8, 2)
        stream.write(bytes(8))
        stream.truncate(100)
    assert torch.equal(state["w"], torch.arange(1e6))


def test_a_header_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**33) + b"{}")
    with pytest.raises(CheckpointError, match="its header claims 8589934592 bytes; 4194304 are the most"):
        read_checkpoint(tmp_path / "a.safetensors")


# ---- what must still load


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_tensors_of_every_kind_come_back_as_they_were(tmp_path: Path, is_zip: bool, protocol: int) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool, torch.complex64]
    kinds += [torch.uint16, torch.float8_e4m3fn] if is_zip else []
    content = {
        "views": [base, base.t(), base[1:, 2:], base[0].expand(5, 4), torch.empty(0, 4), torch.tensor(3.0)],
        "kinds": [torch.ones(3).to(kind) for kind in kinds],
        "marks": [torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j]).conj().imag],
        "plain": [1, -1, 2**70, 1.5, None, True, "é", (1,), (1, 2, 3, 4), {(1, 2): 3}, b"x" * 300, frozenset([1])],
        "array": [np.arange(6, dtype=">i4").reshape(2, 3), np.float32(0.5)],
        "others": [torch.Size([1, 2]), torch.device("cuda:0"), torch.float16],
    }
    torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    read = load_restricted(tmp_path / "a.pth").content
    for one, other in zip(content["views"] + content["marks"], read["views"] + read["marks"], strict=True):
        assert (one.stride(), one.dtype) == (other.stride(), other.dtype)
        assert torch.equal(one, other)
    assert read["views"][0].data_ptr() == read["views"][1].data_ptr()
    assert [one.dtype for one in read["kinds"]] == kinds
    assert all(torch.equal(one.float(), torch.ones(3)) for one in read["kinds"] if not one.is_complex())
    assert read["plain"] == content["plain"]
    assert read["array"][0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read["others"] == content["others"]


def test_tensors_go_where_they_are_asked_for(tmp_path: Path) -> None:
    for is_zip in (True, False):
        torch.save({"state_dict": {"a": torch.ones(3)}}, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
        assert read_checkpoint(tmp_path / "a.pth", map_location="meta").state["a"].is_meta


def test_names_in_a_file_are_shown_as_text_and_not_at_length(tmp_path: Path) -> None:
    program = HEAD + b"c\x1b[31m" + b"x" * 5000 + b"\nsystem\n)R."
    (tmp_path / "a.pth").write_bytes(archive(program))
    with pytest.raises(CheckpointError, match=r"a\.pth calls \\x1b\[31mxxx") as caught:
        load_restricted(tmp_path / "a.pth")
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_changed_files_are_refused_or_read_and_do_nothing_else(tmp_path: Path) -> None:
    script = Path(__file__).with_name("checkpoint_fuzzer.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "0", "20"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    refused, read = map(int, done.stdout.split())
    assert refused > 50
    assert read > 5
