"""Every kind of problem with its exact text and place."""

import pytest

from greenpool.errors import ConfigError, ExitCode
from tests.unit.config.conftest import POOLS_YAML

LONG = "n" * 64

# A line of general and what is wrong with it; the key stands in line 2, column 3.
GENERAL = [
    ("prot: 1", 'prot: unknown key (did you mean "port"?)'),
    ("xyzzy: 1", "xyzzy: unknown key"),
    ("server_port: 1", "server_port: unknown key (it belongs to a pool)"),
    ("pool_size: 1", "pool_size: unknown key (it belongs to a user)"),
    ("max_startup_packt: 1", 'max_startup_packt: unknown key (did you mean "max_startup_packet"?)'),
    ("port: many", 'port: expected a whole number, found "many"'),
    ("port: '6432'", 'port: expected a whole number, found "6432"'),
    ("port: true", "port: expected a whole number, found true"),
    ("port: [1]", "port: expected a whole number, found a list"),
    ("port: 70000", "port: 70000 is out of range (1 to 65535)"),
    ("workers: 0", "workers: 0 is out of range (1 to 64)"),
    ("workers: all", 'workers: expected a whole number or "auto", found "all"'),
    ("tcp_no_delay: 1", "tcp_no_delay: expected true or false, found 1"),
    (
        "connect_timeout: 3 weeks",
        'connect_timeout: expected a duration such as "250ms", "3s", "5m", "1h" or "2d", '
        'found "3 weeks"',
    ),
    ("connect_timeout: 0", "connect_timeout: 0 is out of range (1ms to 365d)"),
    ("connect_timeout: 400d", 'connect_timeout: "400d" is out of range (1ms to 365d)'),
    ("idle_timeout: -5", "idle_timeout: -5 is out of range (0 to 365d)"),
    (
        "tcp_user_timeout: 1500ms",
        'tcp_user_timeout: expected whole seconds, found "1500ms"',
    ),
    (
        "max_startup_packet: 10XB",
        'max_startup_packet: expected a size such as "64KB", "1MB" or "1G", found "10XB"',
    ),
    ("max_startup_packet: 1", "max_startup_packet: 1 is out of range (512B to 1MB)"),
    (
        "log_level: infos",
        'log_level: expected one of debug, info, warning, error, found "infos" '
        '(did you mean "info"?)',
    ),
    ("log_level: 3", "log_level: expected one of debug, info, warning, error, found 3"),
    (
        "host: localhost",
        'host: expected an IPv4 or IPv6 address, found "localhost" (use "127.0.0.1")',
    ),
    ("host: ['*']", 'host: expected an IPv4 or IPv6 address, found "*" (use "0.0.0.0" or "::")'),
    ("host: 5", "host: expected an IPv4 or IPv6 address, found 5 (put it in quotes)"),
    ("host: []", "host: nothing to listen on: the list is empty and unix_socket_dir is not set"),
    ("unix_socket_dir: /no/such", 'unix_socket_dir: there is no directory "/no/such"'),
    ("unix_socket_mode: 99", 'unix_socket_mode: expected an octal mode such as "0660", found 99'),
    ("unix_socket_mode: '4755'", 'unix_socket_mode: "4755" has bits beyond 0777'),
    ("pid_file: ''", "pid_file: is empty"),
    ("pid_file: {a: 1}", "pid_file: expected a path, found a mapping"),
    ("user: 5", "user: expected a string, found 5 (put it in quotes)"),
    ("user: ''", "user: is empty"),
    (
        f"admin_username: {LONG}",
        "admin_username: is 64 bytes long; a PostgreSQL name has at most 63",
    ),
    ('admin_username: "a\\0b"', "admin_username: must not contain a zero byte"),
    (
        "admin_password: 123",
        "admin_password: expected a string, found something else (put it in quotes)",
    ),
    ("startup_parameters: x", 'startup_parameters: expected a mapping of settings, found "x"'),
    (
        "startup_parameters: {work_mem: [1]}",
        'startup_parameters: the value of "work_mem" must be a string or a number, found a list',
    ),
    (
        "startup_parameters: {work_mem: }",
        'startup_parameters: the value of "work_mem" must be a string or a number, found nothing',
    ),
    (
        "startup_parameters: {Database: x}",
        'startup_parameters: "Database" is part of the protocol and cannot be set here',
    ),
    (
        "startup_parameters: {'a b': x}",
        'startup_parameters: "a b" is not the name of a PostgreSQL setting',
    ),
    (
        f"startup_parameters: {{application_name: {'x' * 9000}}}",
        "startup_parameters: 9018 bytes are more than the 9000 that fit into a startup packet",
    ),
    ("hba: [10.0.0.0/99]", 'hba: expected a network such as "10.0.0.0/8", found "10.0.0.0/99"'),
    ("pg_hba: {file: x}", "pg_hba: expected rules, {path: ...} or {content: ...}"),
    ("pg_hba: '# nobody'", "pg_hba: contains no entries: nobody could log in"),
    (
        "pg_hba: hots all all all trust",
        'pg_hba: line 1, column 1: invalid connection type "hots" (did you mean "host"?)',
    ),
    (
        "pg_hba: local all all peer map=x",
        'pg_hba: line 1, column 1: there is no map "x" in pg_ident',
    ),
    ("pg_ident: a b", "pg_ident: line 1, column 3: end-of-line before database user"),
    ("tls_ca_cert: /no/such", 'tls_ca_cert: cannot read "/no/such": No such file or directory'),
    ("tls_certificate: ''", "tls_certificate: is empty"),
    (
        "server_tls_mode: verify-full",
        'server_tls_mode: "verify-full" needs server_tls_ca_cert beside it',
    ),
    (
        "verify_server_certificate: true",
        'verify_server_certificate: "verify-full" needs server_tls_ca_cert beside it',
    ),
    ("tls_mode: require", 'tls_mode: "require" needs tls_certificate beside it'),
    ("tls_min_version: ssl3", 'tls_min_version: expected one of 1.2, 1.3, found "ssl3"'),
    ("server_tls: maybe", 'server_tls: expected true or false, found "maybe"'),
]

# A line of general whose feature is not there yet.
NOT_YET = [
    (
        "patroni_api_urls: [http://127.0.0.1:8008]",
        "patroni_api_urls: not supported yet",
    ),
]

# A line of a user; the key stands in line 5, column 7.
USER = [
    ("pool_size: 2000", "pool_size: 2000 is out of range (1 to 1024)"),
    ("pool_size: 0", "pool_size: 0 is out of range (1 to 1024)"),
    ("min_pool_size: 41", "min_pool_size: 41 is above pool_size 40"),
    (
        "pool_mode: sessions",
        "pool_mode: expected one of transaction, session, statement, found "
        '"sessions" (did you mean "session"?)',
    ),
    ("password: ''", "password: is empty (leave the key out to ask this user for no password)"),
    ("password: 12345", "password: expected a string, found something else (put it in quotes)"),
    (
        "password: [swordfish]",
        "password: expected a string, found a mapping or list (put it in quotes)",
    ),
    ("password: jwt-pkey-fpath:/x", 'password: cannot read "/x": No such file or directory'),
    (
        "password: SCRAM-SHA-256$x",
        'password: begins like a SCRAM secret, but is not "SCRAM-SHA-256$n:salt$key:key"',
    ),
    (
        "server_password: SCRAM-SHA-256$x",
        "server_password: a SCRAM secret cannot be used to log in: a plain password is needed",
    ),
    ("password_file: nowhere", 'password_file: cannot read "nowhere": No such file or directory'),
    ("password_file: [a]", "password_file: expected a file name, found a list"),
    ("auth_pam_service: ''", "auth_pam_service: is empty"),
    (
        "auth_ldap: ldapserver=x",
        'auth_ldap: line 1, column 1: authentication method "ldap" requires argument "ldapbasedn", '
        '"ldapprefix", or "ldapsuffix" to be set',
    ),
    ("server_port: 1", "server_port: unknown key (it belongs to a pool)"),
]

# A line of a pool; the key stands in line 3, column 5.
POOL = [
    ("server_host: ''", "server_host: is empty"),
    ("server_host: db:5432", 'server_host: "db:5432" holds a port: put that into server_port'),
    (
        "server_host: ./run",
        'server_host: "./run" is neither a host name, an address nor an absolute directory',
    ),
    (
        "server_host: /run/.s.PGSQL.5432",
        'server_host: "/run/.s.PGSQL.5432" is a socket: name its directory',
    ),
    (
        f"server_database: {LONG}",
        "server_database: is 64 bytes long; a PostgreSQL name has at most 63",
    ),
    ("databse: x", 'databse: unknown key (did you mean "server_database"?)'),
    ("shutdown_timeout: 1s", "shutdown_timeout: unknown key (it belongs to general)"),
    ("max_db_connections: 8193", "max_db_connections: 8193 is out of range (0 to 8192)"),
    ("patroni_api_urls: ['http://x']", "patroni_api_urls: not supported yet"),
]

# Whole files.
FILES = [
    ("", ["g.yaml:1:1: pools: no pool is defined"]),
    (
        "- a\n",
        ["g.yaml:1:1: expected a mapping, found a list", "g.yaml:1:1: pools: no pool is defined"],
    ),
    ("pools: []\n", ["g.yaml:1:1: pools: expected a mapping of pools, found a list"]),
    ("general: 5\n" + POOLS_YAML, ["g.yaml:1:1: general: expected a mapping, found 5"]),
    (
        "generals: {}\n" + POOLS_YAML,
        ['g.yaml:1:1: generals: unknown section (did you mean "general"?)'],
    ),
    ("pools:\n  app: {}\n", ["g.yaml:2:3: pools.app: has no users"]),
    ("pools:\n  app:\n", ["g.yaml:2:3: pools.app: has no users"]),
    ("pools:\n  app: 5\n", ["g.yaml:2:3: pools.app: expected a mapping, found 5"]),
    (
        "pools:\n  app: {users: ann}\n",
        ['g.yaml:2:9: pools.app.users: expected a list of users, found "ann"'],
    ),
    (
        "pools:\n  app: {users: [ann]}\n",
        ['g.yaml:2:17: pools.app.users[0]: expected a mapping, found "ann"'],
    ),
    (
        "pools:\n  app: {users: {ann: {}}}\n",
        ["g.yaml:2:17: pools.app.users.ann: expected a list of users (or a mapping from numbers)"],
    ),
    (
        "pools:\n  app: {users: [{pool_size: 1}]}\n",
        ['g.yaml:2:17: pools.app.users[0]: "username" is missing'],
    ),
    (
        "pools:\n  app: {users: [{username: 1}]}\n",
        ["g.yaml:2:18: pools.app.users[0].username: expected a string, found 1 (put it in quotes)"],
    ),
    (
        "pools:\n  app:\n    users:\n      - {username: ann}\n      - {username: ann}\n",
        ['g.yaml:5:10: pools.app.users[1].username: "ann" is already a user of this pool'],
    ),
    (
        "pools:\n  pgbouncer: {users: [{username: a}]}\n",
        ['g.yaml:2:3: pools.pgbouncer: "pgbouncer" is the database of the admin console'],
    ),
    (
        "pools:\n  '*': {auth_query: {query: 'select $1', user: a}}\n",
        ["g.yaml:2:9: pools.*.auth_query: needs database: the template has none of its own to ask"],
    ),
    (
        f"pools:\n  {LONG}: {{users: [{{username: a}}]}}\n",
        [f"g.yaml:2:3: pools.{LONG}: the name is 64 bytes long; a PostgreSQL name has at most 63"],
    ),
    (
        "pools:\n  '': {users: [{username: a}]}\n",
        ["g.yaml:2:3: pools.: the name of a pool is empty"],
    ),
    (
        "general:\n  workers: 1\n  worker_threads: 2\n" + POOLS_YAML,
        ["g.yaml:3:3: general.worker_threads: says again what general.workers says (g.yaml:2:3)"],
    ),
    (
        "web: {}\nprometheus: {}\n" + POOLS_YAML,
        ['g.yaml:2:1: prometheus: says again what "web" says (g.yaml:1:1)'],
    ),
    (
        "general:\n  session_state: off\n  cleanup_server_connections: false\n" + POOLS_YAML,
        [
            'g.yaml:3:3: general.cleanup_server_connections: cannot stand beside "session_state", '
            "which says it in a word"
        ],
    ),
    (
        "web: {enabled: true, host: []}\n" + POOLS_YAML,
        ["g.yaml:1:22: web.host: nothing to serve on: the list is empty"],
    ),
    (
        "web: {enabled: true, ui: true, sso_audience: [shop]}\n" + POOLS_YAML,
        [
            'g.yaml:1:22: web.ui: not supported yet (today only "false")',
            "g.yaml:1:32: web.sso_audience: not supported yet",
        ],
    ),
    (
        "pools:\n  app:\n    users: [{username: ann}]\n"
        "    auth_query: {query: $1, user: u, server_user: ann, min_pool_size: 99}\n",
        [
            'g.yaml:4:38: pools.app.auth_query.server_user: "ann" is in users: found users need a '
            "pool of their own",
            "g.yaml:4:56: pools.app.auth_query.min_pool_size: 99 is above pool_size 40",
        ],
    ),
    (
        "pools:\n  app:\n    auth_query: {query: $1, user: u, server_password: x, min_pool_size: 9,"
        " default_pool_size: 8}\n",
        [
            "g.yaml:3:38: pools.app.auth_query.server_password: needs server_user beside it",
            "g.yaml:3:58: pools.app.auth_query.min_pool_size: 9 is above default_pool_size 8",
        ],
    ),
    (
        "pools:\n  app: {auth_query: {query: ' ', user: x}}\n",
        ["g.yaml:2:22: pools.app.auth_query.query: does not ask about $1, the name of the user"],
    ),
    (
        "pools:\n  app: {users: [{username: (auth_query)}]}\n",
        [
            'g.yaml:2:18: pools.app.users[0].username: "(auth_query)" is reserved for auth_query',
        ],
    ),
    (
        "pools:\n  app:\n    auth_query: {workers: 0, server_password: x, min_pool_size: 99}\n",
        [
            'g.yaml:3:5: pools.app.auth_query: "query" is missing',
            'g.yaml:3:5: pools.app.auth_query: "user" is missing',
            "g.yaml:3:18: pools.app.auth_query.workers: 0 is out of range (1 to 64)",
        ],
    ),
    (
        "general:\n  port: x\n  prot: 1\npools:\n  app:\n    users:\n    - username: a\n"
        "      pool_size: 0\n      min_pool_size: 50\n",
        [
            'g.yaml:2:3: general.port: expected a whole number, found "x"',
            'g.yaml:3:3: general.prot: unknown key (did you mean "port"?)',
            "g.yaml:8:7: pools.app.users[0].pool_size: 0 is out of range (1 to 1024)",
        ],
    ),
]


@pytest.mark.parametrize(("line", "problem"), GENERAL + NOT_YET)
def test_general(files, line, problem):
    text = f"general:\n  {line}\n{POOLS_YAML}"
    assert files.problems(text, name="g.yaml") == [f"g.yaml:2:3: general.{problem}"]


@pytest.mark.parametrize(("line", "problem"), USER)
def test_user(files, line, problem):
    text = f"pools:\n  app:\n    users:\n    - username: ann\n      {line}\n"
    assert files.problems(text, name="g.yaml") == [f"g.yaml:5:7: pools.app.users[0].{problem}"]


@pytest.mark.parametrize(("line", "problem"), POOL)
def test_pool(files, line, problem):
    text = f"pools:\n  app:\n    {line}\n    users: [{{username: ann}}]\n"
    assert files.problems(text, name="g.yaml") == [f"g.yaml:3:5: pools.app.{problem}"]


@pytest.mark.parametrize(("text", "problems"), FILES)
def test_file(files, text, problems):
    assert files.problems(text, name="g.yaml") == problems


def test_toml_says_the_same_as_yaml(files):
    text = (
        '[general]\nport = 70000\n[pools.app]\npool_mod = "session"\n'
        "[[pools.app.users]]\npool_size = 1\n"
    )
    assert files.problems(text, name="g.toml") == [
        "g.toml:2:1: general.port: 70000 is out of range (1 to 65535)",
        'g.toml:4:1: pools.app.pool_mod: unknown key (did you mean "pool_mode"?)',
        'g.toml:5:1: pools.app.users[0]: "username" is missing',
    ]


def test_socket_name_that_the_kernel_would_refuse(files):
    directory = files.directory / ("d" * 100)
    directory.mkdir()
    text = f"general:\n  unix_socket_dir: {directory}\n{POOLS_YAML}"
    (problem,) = files.problems(text)
    assert problem.endswith("is longer than the 107 bytes of a socket name")


@pytest.mark.parametrize("secret", ["SCRAM-SHA-256$swordfish", "[swordfish]", "{a: swordfish}"])
def test_no_problem_tells_a_secret(files, secret):
    for key in ("password", "server_password"):
        text = f"pools: {{app: {{users: [{{username: a, {key}: {secret}}}]}}}}\n"
        assert "swordfish" not in str(files.problems(text))


def test_error_is_a_usage_error_with_one_line_a_problem():
    error = ConfigError(["a", "b"])
    assert str(error) == "a\nb"
    assert error.problems == ("a", "b")
    assert error.exit_code is ExitCode.USAGE


def test_one_thing_alone_says_how_a_user_is_known(files):
    text = "pools:\n  app:\n    users:\n    - username: ann\n      password: x\n"
    text += "      auth_pam_service: y\n"
    problem = 'pools.app.users[0].auth_pam_service: cannot stand beside "password"'
    assert files.problems(text, name="g.yaml") == [f"g.yaml:6:7: {problem}"]


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        (["tls_certificate"], ["2:3: general.tls_certificate: it needs tls_private_key"]),
        (["tls_private_key"], ["2:3: general.tls_private_key: it needs tls_certificate"]),
        (
            ["tls_certificate", "tls_private_key", "tls_mode: verify-full"],
            ['4:3: general.tls_mode: "verify-full" needs tls_ca_cert'],
        ),
    ],
)
def test_tls_files_come_together(files, given, problems):
    files.write("x.pem", "text")
    lines = [f"  {each}" if ":" in each else f"  {each}: x.pem" for each in given]
    text = "\n".join(["general:", *lines, POOLS_YAML])
    assert files.problems(text, name="g.yaml") == [
        f"g.yaml:{problem} beside it" for problem in problems
    ]


def test_one_thing_alone_says_what_the_password_for_the_server_is(files):
    user = "{username: ann, server_password: x, server_password_command: [y]}"
    where = "pools.app.users[0].server_password_command"
    found = files.problems(f"pools: {{app: {{users: [{user}]}}}}\n")
    assert [each for each in found if f'{where}: cannot stand beside "server_password"' in each]
