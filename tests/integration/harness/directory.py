"""A real LDAP server, OpenLDAP's slapd, with three people in it.

    uid=ann,ou=people    password `secret`
    uid=bob,ou=people    password `secret`, and another entry of that uid in ou=robots
    cn=reader            password `reading`; nobody else may search

It listens on a port for ldap (with StartTLS) and on one for ldaps; `ca_path` vouches for both.
"""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.harness.ports import PortLock
from tests.integration.harness.waiting import wait_for

BASE = "dc=example,dc=net"
READER = f"cn=reader,{BASE}"
_SLAPD = "/usr/sbin/slapd"
_HOST = "127.0.0.1"
_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {here}/pid
TLSCertificateFile {here}/cert.pem
TLSCertificateKeyFile {here}/key.pem
database mdb
maxsize 10485760
suffix "{base}"
directory {here}/data
access to attrs=userPassword by anonymous auth
access to * by dn.exact="{reader}" read
"""
_PEOPLE = """\
dn: {base}
objectClass: domain
dc: example

dn: {reader}
objectClass: person
sn: reader
userPassword: reading

dn: ou=people,{base}
objectClass: organizationalUnit

dn: ou=robots,{base}
objectClass: organizationalUnit

dn: uid=ann,ou=people,{base}
objectClass: inetOrgPerson
cn: Ann
sn: Ann
mail: ann@example.net
userPassword: secret

dn: uid=bob,ou=people,{base}
objectClass: inetOrgPerson
cn: Bob
sn: Bob
userPassword: secret

dn: uid=bob,ou=robots,{base}
objectClass: inetOrgPerson
cn: Bob
sn: Bob
userPassword: secret
"""


class Directory:
    """Own one slapd."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="greenpool-slapd-"))
        self._locks = (PortLock(), PortLock())
        self.host = _HOST
        self.port, self.tls_port = (lock.port for lock in self._locks)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ca_path(self) -> Path:
        return self.path / "cert.pem"

    def start(self) -> None:
        names = {"base": BASE, "reader": READER, "here": self.path}
        (self.path / "data").mkdir()
        (self.path / "slapd.conf").write_text(_CONF.format(**names))
        (self.path / "people.ldif").write_text(_PEOPLE.format(**names))
        _write_certificate(self.path)
        conf = str(self.path / "slapd.conf")
        fill = [_SLAPD, "-T", "add", "-f", conf, "-l", str(self.path / "people.ldif")]
        subprocess.run(fill, check=True, capture_output=True)
        urls = f"ldap://{_HOST}:{self.port}/ ldaps://{_HOST}:{self.tls_port}/"
        with (self.path / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_SLAPD, "-f", conf, "-h", urls, "-d", "0"], stdout=log, stderr=log
            )
        wait_for(self._answers, f"slapd answers on port {self.port}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        for lock in self._locks:
            lock.release()
        shutil.rmtree(self.path)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.path / "log").read_text()
        with socket.socket() as sock:
            return sock.connect_ex((_HOST, self.port)) == 0


def _write_certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slapd")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_HOST))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    signed = builder.add_extension(address, False).sign(key, hashes.SHA256())
    (path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (path / "key.pem").touch(mode=0o600)
    (path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
