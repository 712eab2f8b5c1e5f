"""Give the library a command line: one file a command, with flags, folders of pictures, processes and advice.

Nothing that a user of the library would miss belongs here. Modules import click and nothing heavy at their top; commands
import what they use when they run.
"""
