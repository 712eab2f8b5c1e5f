"""Measure codecs and what repairs pictures, and report what follows.  This room knows nothing of training.

``codecs`` are what is measured; ``measure`` makes and keeps measurements; ``results`` and ``bdrate`` are what follows from
them; ``sidebyside`` and ``report`` make the page of ``page``.  ``crops`` draws parts of pictures at equal bytes, ``rd`` is a
short form for the terminal, and ``twin`` compares a part of our own codec.
"""
