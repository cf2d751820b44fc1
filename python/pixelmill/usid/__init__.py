"""pyUSID's ``Process``, with results that are exact and runs that can be killed.

Classes of one's own are based on it instead of pyUSID's::

    from pixelmill.usid import Process

Classes of other packages, such as BGlib and FFTA, run on it after::

    import pixelmill.usid
    pixelmill.usid.install()

It needs pyUSID (0.0.12 was looked at) and what that needs.
"""

from ._install import install
from ._parallel import parallel_compute
from ._process import Process

__all__ = ["Process", "install", "parallel_compute"]
