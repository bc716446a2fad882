"""What leaves the subset is refused, with file, line and reason."""

from __future__ import annotations

import importlib.util
import re

import pytest

from mapcount.errors import SchemeSourceError
from mapcount.replay.flatten import Flattener

HEAD = """from mapcount.schemes.ops import PRIMITIVES, read, store
from mapcount.schemes.words import page_word
W = page_word("_w")
TEXT = "text"
LARGE = 1 << 63
def sibling(m, page):
    return page
"""
START = HEAD.count("\n") + 2
"""The line of the first statement of the function."""


def flatten(tmp_path, source, names=("function", "sibling")):
    path = tmp_path / "scheme.py"
    path.write_text(HEAD + source)
    spec = importlib.util.spec_from_file_location("scheme", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    helpers = {name: getattr(module, name) for name in names}
    return Flattener(helpers, lambda name, word, arguments: ([], "0")).call("function", ["page"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x = [page]", "List is not part of the subset"),
        ("x = page / 2", "BinOp is not part"),
        ("x = page ** 2", "BinOp is not part"),
        ("x = 1.5", "Constant is not part"),
        ("x = 'a'", "Constant is not part"),
        ("x, y = page, 1", "Assign is not part"),
        ("m.words = 1", "Assign is not part"),
        ("x = m.words", "Attribute is not part"),
        ("del page", "Delete is not part"),
        ("assert page", "Assert is not part"),
        ("try:\n        pass\n    finally:\n        pass", "Try is not part"),
        ("for i in (1, 2):\n        pass", "only `for NAME in range"),
        ("for i in range(2):\n        pass\n    else:\n        pass", "a loop with `else`"),
        ("while page:\n        pass\n    else:\n        pass", "a loop with `else`"),
        ("while page:\n        return 1\n    else:\n        page = 1", "a loop with `else`"),
        ("x = 0 < page < 3", "more than two values"),
        ("x = page is W", "Compare is not part"),
        ("x = lambda: 1", "Lambda is not part"),
        ("x = TEXT", "TEXT is no integer"),
        ("x = W", "W is no integer"),
        ("x = LARGE", "9223372036854775808 does not fit into 64 bits"),
        ("x = 1 << 62 << 1", "does not fit into 64 bits"),
        ("x = 1 // 0", "by zero"),
        ("x = unknown", "unknown is not known here"),
        ("x = unknown(m)", "unknown is not known here"),
        ("x = max(page, 1)", "max is not known here"),
        ("x = page(m)", "page is no function of a scheme"),
        ("x = PRIMITIVES(m)", "PRIMITIVES is no function"),
        ("x = m.f(m)", "only functions may be called, by their plain name"),
        ("x = sibling(page, 1)", "sibling must be given the memory first"),
        ("x = sibling(m, page=1)", "plain positional arguments"),
        ("x = sibling(m, *W)", "plain positional arguments"),
        ("x = sibling(m)", "sibling takes 2 arguments"),
        ("x = read(m, page, page)", "read must be given a word by its name"),
        ("x = read(m, TEXT, page)", "read must be given a word by its name"),
        ("x = function(m, page)", "function calls itself"),
    ],
)
def test_refused(tmp_path, body, reason):
    with pytest.raises(SchemeSourceError) as raised:
        flatten(tmp_path, f"def function(m, page):\n    {body}\n")
    assert str(raised.value).startswith(f"{tmp_path}/scheme.py, line {START}: "), raised.value
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("def function(m, *page): pass", "plain positional parameters"),
        ("def function(m, page=1): pass", "plain positional parameters"),
        ("def function(): pass", "plain positional parameters"),
        ("@staticmethod\ndef inner(m, page): pass\nfunction = inner.__func__", "decorators"),
        ("function = lambda m, page: 1", "cannot be read|no plain function"),
    ],
)
def test_refused_definitions(tmp_path, definition, reason):
    with pytest.raises(SchemeSourceError) as raised:
        flatten(tmp_path, definition + "\n")
    assert re.search(reason, str(raised.value))


def test_a_function_without_a_file(tmp_path):
    space = {}
    exec("def function(m, page):\n    return 1", space)
    with pytest.raises(SchemeSourceError, match=r"line 1: the source of function cannot be read.*write it in a file"):
        Flattener({"function": space["function"]}, lambda *_: ([], "")).call("function", ["page"])


def test_what_an_operation_cannot_do_has_a_line_too(tmp_path):
    path = tmp_path / "scheme.py"
    path.write_text(HEAD + "def function(m, page):\n    store(m, W, page, 1)\n")
    spec = importlib.util.spec_from_file_location("scheme", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def unknown(name, word, arguments):
        raise ValueError(f"{name} is not known to replay")

    with pytest.raises(SchemeSourceError, match=f"line {START}: store is not known to replay"):
        Flattener({"function": module.function}, unknown).call("function", ["page"])
