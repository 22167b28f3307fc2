"""Files, includes and the environment."""

import pytest

from greenpool.config import load
from greenpool.errors import ConfigError
from tests.unit.config.conftest import POOLS_YAML


def test_includes_are_merged_in_order_over_the_including_file(files):
    files.write("one.yaml", "general: {port: 1111, backlog: 5}\n")
    files.write("two.toml", "[general]\nport = 2222\n")
    config = files.load(
        "general: {port: 9999, workers: 2, backlog: 1}\n"
        f"include: {{files: [one.yaml, two.toml]}}\n{POOLS_YAML}"
    )
    assert (config.general.port, config.general.backlog, config.general.workers) == (2222, 5, 2)
    assert [file.name for file in config.files] == ["greenpool.yaml", "one.yaml", "two.toml"]


def test_included_users_join_those_of_the_same_pool(files):
    files.write(
        "more.yaml",
        "pools: {app: {users: [{username: bob, password: x}]}, b: {users: [{username: c}]}}",
    )
    config = files.load(f"include: {{files: [more.yaml]}}\n{POOLS_YAML}")
    assert list(config.pools["app"].users) == ["ann", "bob"]
    assert list(config.pools) == ["app", "b"]


def test_included_null_replaces_nothing(files):
    files.write("more.yaml", "general:\n")
    text = f"general: {{port: 7777}}\ninclude: {{files: [more.yaml]}}\n{POOLS_YAML}"
    assert files.load(text).general.port == 7777


def test_include_is_relative_to_the_file_that_names_it(files):
    files.write("conf.d/a.yaml", "include: {files: [b.yaml]}\n")
    files.write("conf.d/b.yaml", "general: {port: 4444}\n")
    config = files.load(f"include: {{files: [conf.d/a.yaml]}}\n{POOLS_YAML}")
    assert config.general.port == 4444


@pytest.mark.parametrize("include", ["include:\n", "include: {}\n", "include: {files: }\n"])
def test_include_of_nothing(files, include):
    assert files.load(include + POOLS_YAML).general.port == 6432


def test_problem_in_an_included_file_is_told_of_that_file(files):
    files.write("a.yaml", "general:\n  port: x\n")
    text = f"include: {{files: [a.yaml]}}\ngeneral: {{prot: 1}}\n{POOLS_YAML}"
    assert files.problems(text) == [
        'greenpool.yaml:2:11: general.prot: unknown key (did you mean "port"?)',
        'a.yaml:2:3: general.port: expected a whole number, found "x"',
    ]


def test_file_that_includes_itself_over_another_is_refused(files):
    files.write("a.yaml", "include: {files: [sub/../greenpool.yaml]}\n")
    (files.directory / "sub").mkdir()
    assert files.problems(f"include: {{files: [a.yaml]}}\n{POOLS_YAML}") == [
        'a.yaml:1:19: include.files: "sub/../greenpool.yaml" includes itself'
    ]


def test_file_may_be_included_twice_without_a_cycle(files):
    files.write("a.yaml", "include: {files: [c.yaml]}\n")
    files.write("b.yaml", "include: {files: [c.yaml]}\n")
    files.write("c.yaml", "general: {port: 5555}\n")
    config = files.load(f"include: {{files: [a.yaml, b.yaml]}}\n{POOLS_YAML}")
    assert config.general.port == 5555
    assert [file.name for file in config.files] == ["greenpool.yaml", "a.yaml", "c.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("include", "problem"),
    [
        ("{files: [no.yaml]}", '1:19: cannot read "no.yaml": No such file or directory'),
        ("{files: [no.ini]}", '1:19: "no.ini" must be named with one of .yaml, .yml, .toml'),
        ("{files: no.yaml}", "1:11: include.files: expected a list of file names"),
        ("{files: [1]}", "1:11: include.files: expected a list of file names"),
        ("{file: [a]}", '1:11: include.file: unknown key (did you mean "files"?)'),
        ("[a.yaml]", "1:1: include: expected a mapping with files, found a list"),
    ],
)
def test_include_refuses(files, include, problem):
    text = f"include: {include}\n{POOLS_YAML}"
    assert files.problems(text) == [f"greenpool.yaml:{problem}"]


def test_missing_file_is_the_only_problem(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "no.yaml", {})
    path = tmp_path / "no.yaml"
    assert caught.value.problems == (
        f'{path}:1:1: cannot read "{path}": No such file or directory',
    )


def test_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"general: {}\n# \xe9\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == (f"{path}:1:1: not UTF-8: bad byte at offset 14",)


def test_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_text(POOLS_YAML, encoding="utf-8-sig")
    assert list(load(path, {}).pools) == ["app"]


@pytest.mark.parametrize("name", ["greenpool.yaml", "greenpool.toml"])
def test_environment_is_put_into_any_value(files, name):
    text = {
        "greenpool.yaml": "general: {port: '${PORT}', tcp_no_delay: '${DELAY}', host: ['${IP}']}\n"
        "pools: {app: {users: [{username: a, password: 'x${PW}y'}]}}\n",
        "greenpool.toml": '[general]\nport = "${PORT}"\ntcp_no_delay = "${DELAY}"\n'
        'host = ["${IP}"]\n[[pools.app.users]]\nusername = "a"\npassword = "x${PW}y"\n',
    }[name]
    environ = {"PORT": "7001", "DELAY": "off", "IP": "127.0.0.2", "PW": "${PORT}"}
    config = files.load(text, environ, name)
    assert config.general.port == 7001
    assert config.general.tcp_no_delay is False
    assert config.general.host == ("127.0.0.2",)
    # What came out of the environment is not looked at again.
    assert config.pools["app"].users["a"].password == "x${PORT}y"


def test_environment_value_that_looks_like_a_number_stays_a_password(files):
    text = "pools: {app: {users: [{username: a, password: '${PW}'}]}}\n"
    assert files.load(text, {"PW": "0123"}).pools["app"].users["a"].password == "0123"


def test_double_dollar_stands_for_the_text_itself(files):
    text = "pools: {app: {users: [{username: a, password: 'a$b$$c$${PW}'}]}}\n"
    assert files.load(text).pools["app"].users["a"].password == "a$b$$c${PW}"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("${NOPE}", 'environment variable "NOPE" is not set'),
        ("${NO-PE}", '"${" needs a name and "}" after it ("$${" stands for the text itself)'),
        ("${", '"${" needs a name and "}" after it ("$${" stands for the text itself)'),
    ],
)
def test_environment_refuses(files, value, problem):
    text = f"general:\n  syslog_prog_name: 'x{value}'\n{POOLS_YAML}"
    assert f"greenpool.yaml:2:3: general.syslog_prog_name: {problem}" in files.problems(text)
