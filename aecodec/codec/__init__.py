"""Carry a picture the whole way to a file's bytes and back, and search for the quality that meets a target.

This room is what a caller imports; it knows nothing of command-line flags or of folders of pictures.
"""
