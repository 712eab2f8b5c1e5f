"""Look into files: where their bits go, what the quantiser did, and what single latents stand for.

All analysis is numpy on what a decoder reads; ``page`` makes a page of it. This room knows nothing of folders of files and
of the command line's flags, and it changes no file.
"""
