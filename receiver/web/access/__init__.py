"""Who may do what over HTTP, as the web configuration file says it; without a file, everybody may do everything.

`roles` has what each path is for, `format` what a web configuration may say, `file` reads one, `tls` makes its TLS
context, `credentials` and `passwords` find who asks, `current` holds all of it and reads it anew, `gate` stands before
the app.
"""

from receiver.web.access.current import Access, check
from receiver.web.access.gate import guarded, may

__all__ = ["Access", "check", "guarded", "may"]
