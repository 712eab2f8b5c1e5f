"""Train weights from pictures.  This room knows nothing of the command line.

``run`` is the run itself and ``settings`` its configuration.  What it trains is one of ``tasks``: ``compression`` or
``restoration``.  ``loss`` and ``distortion`` say what is good, ``validation`` scores it, ``guard`` leaves out steps that
would spoil it, ``checkpoint`` keeps it.
"""
