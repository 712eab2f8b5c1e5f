"""Measure codecs and restoration methods, and report the results. This room knows nothing of training.

``codecs`` defines the codecs; ``measure`` makes and keeps measurements; ``results`` and ``bdrate`` compute results from
them; ``sidebyside`` and ``report`` make the page of ``page``. ``crops`` draws parts of pictures at equal bytes, ``rd`` is a
short form for the terminal, and ``twin`` compares a part of our own codec.
"""
