import math
import time

import numpy as np
import pytest
import yaml

from orthotune.errors import FileError
from orthotune.schema import yaml_file
from orthotune.schema.yaml_file import (
    MAX_BYTES,
    mapping_file,
    parse_value,
    read_mapping,
)


@pytest.fixture
def read(tmp_path):
    """A function that writes a text or bytes to `space.yaml` and reads it."""

    def write_and_read(content):
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / "space.yaml").write_bytes(raw)
        return read_mapping(str(tmp_path / "space.yaml"))

    return write_and_read


@pytest.fixture
def refusal(read, tmp_path):
    """A function that gives the error of a content, the folder's name left out."""

    def message(content):
        with pytest.raises(FileError) as caught:
            read(content)
        return str(caught.value).removeprefix(f"{tmp_path}/")

    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1e5", 1e5),
        ("1E+3", 1e3),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("44", 44),
        ("+5", 5),
        ("-5", -5),
        ("010", 10),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        ("e5", "e5"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("1 000", "1 000"),
        ("\u0661\u0662", "\u0661\u0662"),  # Arabic digits
        ("9" * 400, 10**400 - 1),
        (".inf", math.inf),
        ("+.inf", math.inf),
        ("-.INF", -math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("yes", "yes"),
        ("Yes", "Yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("2020-01-01", "2020-01-01"),
        ("=", "="),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("'it''s'", "it's"),
        ("plain words # comment", "plain words"),
        ("|\n  1\n", "1\n"),
        (">\n  1\n  2\n", "1 2\n"),
        ("[1, 2.0, x, [null]]", [1, 2.0, "x", [None]]),
        ("{b: {c: 1e-3}}", {"b": {"c": 1e-3}}),
        ("\n- 1\n- b: 2\n", [1, {"b": 2}]),
    ],
)
def test_a_value_is_what_yaml_1_2_says_with_decimal_numbers_only(read, text, value):
    got = read(f"a: {text}\n").data["a"]
    assert got == value
    assert type(got) is type(value)


def test_nan_is_a_number(read):
    assert math.isnan(read("a: .nan").data["a"])


def test_a_byte_order_mark_and_windows_lines_are_accepted(read):
    file = read(b"\xef\xbb\xbfa: 1\r\nb: \xc3\xa9\r\n")
    assert file.data == {"a": 1, "b": "é"}
    assert file.where("b").endswith("space.yaml:2")


def test_a_mapping_may_come_in_one_marked_document(read):
    assert read("%YAML 1.2\n---\na: 1\n...\n").data == {"a": 1}


def test_keys_keep_their_order(read):
    assert list(read("b: 1\na: 2\n'c': 3\n").data) == ["b", "a", "c"]


def test_a_merge_key_is_a_key_like_others(read):
    assert read("<<: {a: 1}\n").data == {"<<": {"a": 1}}


NESTED = """\
# a search space

space:
  optimizer.lr:
    low: 1e-3

    high: 1
  model.depth: [20,
    44]
fixed: {data.name: digits,
        seed: 3}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ((), 1),
        (("space",), 3),
        (("space", "optimizer.lr"), 4),
        (("space", "optimizer.lr", "low"), 5),
        (("space", "optimizer.lr", "high"), 7),
        (("space", "model.depth"), 8),
        (("fixed",), 10),
        (("fixed", "data.name"), 10),
        (("fixed", "seed"), 11),
        (("space", "optimizer.lr", "log"), 4),
        (("space", "regularizer.coeff", "low"), 3),
        (("metric",), 1),
    ],
)
def test_where_gives_the_line_of_a_key_or_of_what_should_hold_it(
    read, tmp_path, keys, line
):
    assert read(NESTED).where(*keys) == f"{tmp_path}/space.yaml:{line}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "space.yaml:3: must not repeat a key, but `a` stands on line 1 too. "
            "Delete one.",
        ),
        (
            "x:\n  a: 1\n  'a': 3\n",
            "space.yaml:3: must not repeat a key, but `a` stands on line 2 too. "
            "Delete one.",
        ),
        (
            "- 1\n- 2\n",
            "space.yaml:1: must hold a mapping of keys (`key: value`), but got a list.",
        ),
        (
            "\n\nmodel.depth\n",
            "space.yaml:3: must hold a mapping of keys (`key: value`), "
            "but got a single value.",
        ),
        ("", "space.yaml:1: must hold a mapping of keys, but is empty."),
        (
            "# only\n# notes\n",
            "space.yaml:1: must hold a mapping of keys, but is empty.",
        ),
        ("a: 1\n1: 2\n", "space.yaml:2: must have words as keys, but got 1."),
        ("true: 2\n", "space.yaml:1: must have words as keys, but got True."),
        ("~: 2\n", "space.yaml:1: must have words as keys, but got None."),
        ("1.5: 2\n", "space.yaml:1: must have words as keys, but got 1.5."),
        (
            "? [a, b]\n: 2\n",
            "space.yaml:1: must have words as keys, but got ['a', 'b'].",
        ),
        ("{{a: 1}: 2}\n", "space.yaml:1: must have words as keys, but got {'a': 1}."),
        (
            "a:\n\tb: 1\n",
            "space.yaml:2: must be valid YAML, but found character '\\t' that cannot "
            "start any token.",
        ),
        (
            "a: b: c\n",
            "space.yaml:1: must be valid YAML, but mapping values are not allowed ",
        ),
        (
            "a: [1,\nb: 2\n",
            "space.yaml:3: must be valid YAML, but expected ',' or ']', "
            "but got '<stream end>'.",
        ),
        (
            'a: "open\nb: 2\n',
            "space.yaml:3: must be valid YAML, but found unexpected end of stream.",
        ),
        (
            b"a: 1\nb: \0\n",
            "space.yaml:2: must be text, but holds the control character",
        ),
        (b"a: 1\n\n\x1b[31m\n", "space.yaml:3: must be text, but holds the control"),
        (
            b"a: 1\r\n\r\nb: \xe9\r\n",
            "space.yaml:3: must be UTF-8, but got the byte 0xe9. "
            "Save the file as UTF-8.",
        ),
        (
            "a: 1".encode("utf-16"),
            "space.yaml:1: must be UTF-8, but got the byte 0xff.",
        ),
        (
            bytes(range(256)),
            "space.yaml:2: must be UTF-8, but got the byte 0x80. "
            "Save the file as UTF-8.",
        ),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_line(refusal, content, message):
    assert refusal(content).startswith(message)


@pytest.mark.parametrize(
    ("content", "line"), [("a: 1\n---\nb: 2\n", 2), ("a: 1\n...\n---\n", 3)]
)
def test_a_second_document_is_refused(refusal, content, line):
    message = f"space.yaml:{line}: must be valid YAML, but found another document."
    assert refusal(content) == message


def test_what_is_wrong_is_said_in_the_same_words_without_libyaml(read, monkeypatch):
    assert yaml_file._LOADER is yaml.CSafeLoader
    said = []
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        monkeypatch.setattr(yaml_file, "_LOADER", loader)
        assert read(NESTED).data["fixed"] == {"data.name": "digits", "seed": 3}
        for content in ("a:\n\tb: 1\n", "a: [1,\nb: 2\n", "a: \x01", 'a: "\\xZZ"'):
            with pytest.raises(FileError) as caught:
                read(content)
            said.append(str(caught.value))
    assert said[:4] == said[4:]


@pytest.mark.parametrize(
    "content",
    [
        f"{'k' * 1000}: 1\n{'k' * 1000}: 2\n",
        f"a: &{'k' * 1000} 1\n",
        f"a: *{'k' * 1000}\n",
        f"a: !{'k' * 1000} 1\n",
        f"? [{'k' * 1000}]\n: 1\n",
    ],
)
def test_a_long_word_is_cut_in_a_message(refusal, content):
    assert "kkk..." in refusal(content)
    assert len(refusal(content)) < 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a: !!python/object/apply:os.system ['touch pwned']\n",
            "space.yaml:1: must not use tags, but got "
            "tag:yaml.org,2002:python/object/apply:os.system.",
        ),
        (
            "a: 1\nb:\n- !!python/name:os.system\n",
            "space.yaml:3: must not use tags, but got "
            "tag:yaml.org,2002:python/name:os.system.",
        ),
        (
            "!!python/object/new:os.system [x]: 1\n",
            "space.yaml:1: must not use tags, but got "
            "tag:yaml.org,2002:python/object/new:os.system.",
        ),
        ("a: !env HOME\n", "space.yaml:1: must not use tags, but got !env."),
        ("a: !env {b: 1}\n", "space.yaml:1: must not use tags, but got !env."),
        ("a: !<x:y> [1]\n", "space.yaml:1: must not use tags, but got x:y."),
    ],
)
def test_tags_are_refused_and_build_nothing(
    refusal, monkeypatch, tmp_path, content, message
):
    monkeypatch.chdir(tmp_path)
    assert refusal(content) == message
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: &x 1\nb: *x\n", "space.yaml:2: must not use aliases, but got *x. "),
        ("a: &x [*x]\n", "space.yaml:1: must not use aliases, but got *x. "),
        ("a: &x\n  b:\n  - *x\n", "space.yaml:3: must not use aliases, but got *x. "),
        (
            "a: &x {lr: 1}\nb:\n  <<: *x\n",
            "space.yaml:3: must not use aliases, but got *x. Write the value out.",
        ),
    ],
)
def test_aliases_are_refused_recursive_ones_too(refusal, content, message):
    assert refusal(content).startswith(message)


def test_a_billion_laughs_are_refused_at_once(refusal):
    lines = ["a0: &a0 lol"]
    for level in range(1, 30):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    start = time.perf_counter()
    assert refusal("\n".join(lines)).startswith(
        "space.yaml:2: must not use aliases, but got *a0."
    )
    assert time.perf_counter() - start < 60  # written out they are 10^29 items


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: " + "[" * 20 + "]" * 20, 1),
        ("a: " + "[" * 90_000, 1),
        ("a: " + "{b: " * 20_000, 1),
        ("\n".join(" " * depth + "a:" for depth in range(300)), 21),
        ("- " * 5000, 1),
        ("? " * 5000, 1),
    ],
)
def test_deep_nesting_is_refused_before_it_exhausts_the_stack(refusal, content, line):
    message = f"space.yaml:{line}: must nest at most 20 levels deep."
    assert refusal(content) == message


def test_twenty_levels_are_allowed(read):
    value = read("a: " + "[" * 19 + "]" * 19).data["a"]
    for _ in range(18):
        (value,) = value
    assert value == []


def test_a_file_may_be_100_000_bytes_long_and_no_longer(read, refusal):
    longest = "a: " + "x" * (MAX_BYTES - 3)
    assert len(read(longest).data["a"]) == MAX_BYTES - 3
    assert refusal(longest + "x") == (
        "space.yaml:1: must be at most 100000 bytes long, but is longer. "
        "Is it a YAML file?"
    )


def test_a_missing_file_is_refused(tmp_path):
    path = str(tmp_path / "none.yaml")
    with pytest.raises(FileError) as caught:
        read_mapping(path)
    assert str(caught.value) == (
        f"{path}: must be a readable file, but: No such file or directory."
    )
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(
        FileError, match=r"must be a readable file, but: Is a directory"
    ):
        read_mapping(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("", None),
        ("on", "on"),
        ("[16, 32, 64]", [16, 32, 64]),
        ("'44'", "44"),
        ("a=b", "a=b"),
        ("~", None),
    ],
)
def test_a_setting_is_read_as_in_a_file(read, text, value):
    assert parse_value(text) == value
    assert parse_value(text) == read(f"key: {text}").data["key"]


@pytest.mark.parametrize("text", ["a: b", "- 1", "[1, 2", "'x", "\0", "1\n---\n2", "@"])
def test_a_setting_must_be_one_value(text):
    with pytest.raises(FileError) as caught:
        parse_value(text)
    assert str(caught.value) == f"--set: must hold one YAML value, but got {text!r}."


@pytest.mark.parametrize(
    ("text", "problem"),
    [("*x", "aliases"), ("!!python/name:os.system", "tags"), ("[" * 30, "20 levels")],
)
def test_a_setting_may_not_use_what_a_file_may_not(text, problem):
    with pytest.raises(FileError, match=f"^--set:1: must .*{problem}"):
        parse_value(text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: &x 1\n", r"y\.yaml:1: must not use anchors, but got &x\."),
        ("a: 1\nb: !!str 5\n", r"y\.yaml:2: must not use tags"),
        ("!!python/object/apply:os.system {a: 1}\n", r"y\.yaml:1: must not use tags"),
        ('a: "\\Uffffffff"\n', r"y\.yaml:1: must be valid YAML"),
        ("a: 1\n---\nb: 2\n", r"valid YAML, but found another document\."),
    ],
)
def test_what_yaml_allows_and_we_do_not(content, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "y.yaml").write_text(content)
    with pytest.raises(FileError, match=words):
        read_mapping("y.yaml")


def test_an_integer_too_long_for_a_number_is_not_infinite(tmp_path):
    (tmp_path / "y.yaml").write_text(f"a: {'9' * 500}\n")
    assert read_mapping(str(tmp_path / "y.yaml")).data["a"] == "9" * 500


def test_a_setting_is_one_value():
    with pytest.raises(FileError, match="must hold one YAML value"):
        parse_value("1\nother: 2")


def test_a_setting_in_another_encoding_than_the_locales_is_refused_as_such():
    """What a command gets of UTF-8 where the locale is C."""
    text = "dätä".encode().decode("ascii", "surrogateescape")
    with pytest.raises(FileError) as caught:
        parse_value(text)
    assert str(caught.value) == (
        "--set: must be text in the encoding of the locale, but got "
        r"'d\udcc3\udca4t\udcc3\udca4'. Set LC_ALL to C.UTF-8, or PYTHONUTF8 to 1."
    )


def test_a_mapping_is_read_as_a_file_that_holds_it():
    found = mapping_file({"a": (1, np.float64(0.5)), "b": {"c": np.arange(2)}})
    assert found.data == {"a": [1, 0.5], "b": {"c": [0, 1]}}
    assert found.where("b", "c") == found.where("nowhere") == "<dict>"


def test_what_is_read_is_a_copy():
    inner = {"b": [1]}
    found = mapping_file({"a": inner})
    inner["b"].append(2)
    assert found.data == {"a": {"b": [1]}}


def test_a_mapping_in_itself_is_refused():
    endless: dict = {}
    endless["a"] = endless
    with pytest.raises(FileError, match=r"^<dict>: must nest at most 20 levels"):
        mapping_file(endless)


@pytest.mark.parametrize(
    ("mapping", "said"), [({}, "is empty"), ({"a": {2: 1}}, "words as keys, but got 2")]
)
def test_a_mapping_that_no_file_can_hold_is_refused(mapping, said):
    with pytest.raises(FileError, match=rf"^<dict>: must .*{said}"):
        mapping_file(mapping)
