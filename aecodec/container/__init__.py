"""Read and write an .aec file: header, chunks, alpha, metadata, and the geometry of tiles and blocks.

This room does not know what the payload of a tile means.
"""
