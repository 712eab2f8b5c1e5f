"""Train weights from pictures. This room knows nothing of the command line.

``run`` is the run itself and ``settings`` its configuration. It trains one of ``tasks``: ``compression`` or
``restoration``. ``loss`` and ``distortion`` define what is good, ``validation`` scores it, ``guard`` skips steps that would
spoil it, ``checkpoint`` keeps it.
"""
