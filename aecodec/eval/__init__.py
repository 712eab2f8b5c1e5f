"""Measuring codecs, for ``aecodec eval``: ``codecs`` and ``metrics``; ``measure`` makes and keeps measurements; ``results``
and ``bdrate`` are what follows from them; ``sidebyside`` and ``report`` make the page of ``page``.  ``crops`` draws parts of
pictures at equal bytes, ``rd`` is a short form for the terminal, ``twin`` compares a part of our own codec, and ``imports``
is for packages that need help to be imported.
"""
