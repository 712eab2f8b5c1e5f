"""Training: ``aecodec train CONFIG``.

``settings`` is what a run is told, ``data`` the pictures, ``klt`` the linear start, ``loop`` the run itself.
"""
