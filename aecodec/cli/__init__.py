"""The command line.  Modules here import click and nothing heavy; commands import what they use when they run."""
