"""PAM: the operating system's own way to check a password.

The modules of a service (/etc/pam.d) may do anything and take any time: call this on a thread.
Source: "Client Authentication > PAM Authentication"; pam(3).
"""

from __future__ import annotations

DEFAULT_SERVICE = "greenpool"


def pam_verify(service: str, user: str, password: str) -> str:
    """Check a password and that the account is in force; return why it fails, empty if it fits.

    Blocks.
    """
    import pam  # an optional package; the configuration was refused if it is missing

    if "\0" in password:  # cannot come over the wire, and PAM would not see what is behind it
        return "a password with a zero byte"
    attempt = pam.PamAuthenticator()
    if attempt.authenticate(user, password, service, resetcreds=False):
        return ""
    reason = attempt.reason
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
