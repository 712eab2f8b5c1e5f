"""Know where files lie: on the local disk, or behind the URL of a store such as ``s3://``.

``names`` reads and joins names of both kinds with the standard library alone. ``remote`` talks to stores through fsspec,
which the extra ``remote`` installs. What is in a file, this room must not know.
"""
