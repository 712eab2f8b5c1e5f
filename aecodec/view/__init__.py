"""Show .aec files in a browser: the decoder as WebAssembly, pages that have it inside, and a server for a folder.

``module/`` is the JavaScript package as npm takes it. This room decodes nothing but the preview of a page, and knows
nothing of how a file is encoded.
"""
