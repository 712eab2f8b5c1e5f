"""Measuring codecs: ``metrics`` of pictures, ``anchors`` to compare with, ``bdrate`` of curves, ``rd`` of a folder."""
