"""Train weights from pictures.  This room knows nothing of the command line.

``settings`` is what a run is told, ``data`` the pictures, ``klt`` the linear start, ``loop`` the run itself.
"""
