"""Questions that a command puts to a server: greenpool's own console, or PostgreSQL.

Blocking, over a plain socket or TLS, in the process of a command; no driver and no engine needed.
"""

from greenpool.inquiry.answer import Answer, Table
from greenpool.inquiry.encryption import Encryption
from greenpool.inquiry.inquiry import Address, Inquiry, Refusal, Target

__all__ = ["Address", "Answer", "Encryption", "Inquiry", "Refusal", "Table", "Target"]
